"""The sampler's LXD adapter against the double: what it asks for, and how it fails."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel_counters import InstanceRefused, Space
from services.metrics.sampler.lxd_source import MOST_ANSWER_BYTES, LxdSource
from services.metrics.sampler.poll_schedule import poll_delays_s
from services.metrics.sampler.reading import Pools
from services.metrics.sampler.sampling import Sampling, Sources
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.codec import decode, encode
from shared.contracts.errors import LxdUnavailable
from shared.contracts.events import Sampled
from shared.lxd.client import LxdClient
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.lxd_double.instances import Nic, address
from tests.support.sampler import HOST, FakeCgroups, FakeNetwork


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


def source(
    double: LxdDouble, *, most_bytes: int = MOST_ANSWER_BYTES, read_s: float = 1.0
) -> LxdSource:
    client = LxdClient(double.socket, "h1", read_s=read_s, most_bytes=most_bytes)
    return LxdSource(client, LxdScope())


@pytest.fixture
def lxd(double: LxdDouble) -> LxdSource:
    return source(double)


def test_all_instances_are_read_in_one_request(double: LxdDouble) -> None:
    lxd = source(double, read_s=30.0)
    double.add_all(
        DoubledInstance(f"c{number}", status="Running", memory_usage=number + 1)
        for number in range(1000)
    )
    lxd.instances()
    asked_before = len(double.requests)

    listed = lxd.instances()

    assert double.requests[asked_before:] == ["GET /1.0/instances?recursion=2&all-projects=true"]
    assert {each.name: each.state.memory.usage for each in listed if each.state} == {
        f"c{number}": number + 1 for number in range(1000)
    }


def test_one_instance_is_read_in_one_request(double: LxdDouble, lxd: LxdSource) -> None:
    double.add(DoubledInstance("web", status="Running", memory_usage=7))
    lxd.instances()
    asked_before = len(double.requests)

    web = lxd.instance("default", "web")

    assert double.requests[asked_before:] == ["GET /1.0/instances/web?project=default&recursion=1"]
    assert web is not None
    assert web.state is not None
    assert web.state.memory.usage == 7


def test_an_instance_that_is_not_there_is_none(lxd: LxdSource) -> None:
    assert lxd.instance("default", "web") is None


def test_an_lxd_that_has_no_metrics_tells_no_details(lxd: LxdSource) -> None:
    assert lxd.details(Dropped()) == {}


def test_the_details_of_an_lxd_that_is_away_are_unavailable(
    double: LxdDouble, lxd: LxdSource
) -> None:
    lxd.instances()
    double.go_away()

    with pytest.raises(LxdUnavailable):
        lxd.details(Dropped())


def test_events_are_heard_from_the_opening_until_lxd_goes_away(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.add(DoubledInstance("web"))
    opened, heard = threading.Event(), queue.Queue[LifecycleEvent]()

    def listen() -> None:
        with suppress(LxdUnavailable):
            lxd.listen(opened.set, heard.put)

    listening = threading.Thread(target=listen)
    listening.start()
    assert opened.wait(timeout=5)

    double.change_state("web", "start")
    started = heard.get(timeout=5)
    double.go_away()
    listening.join(timeout=5)

    assert started.identity == ("default", "web")
    assert poll_delays_s(started)
    assert not listening.is_alive()


def test_an_lxd_that_is_away_cannot_be_heard(double: LxdDouble, lxd: LxdSource) -> None:
    lxd.instances()
    double.go_away()
    opened = threading.Event()

    with pytest.raises(LxdUnavailable):
        lxd.listen(opened.set, lambda _: None)

    assert not opened.is_set()


def test_pools_tell_their_space_and_which_is_the_default(lxd: LxdSource) -> None:
    pools = lxd.pools()

    assert pools.spaces == {"default": Space(used=10 << 30, total=100 << 30)}
    assert pools.default == "default"


def test_a_pool_that_does_not_tell_its_space_is_left_out(double: LxdDouble, lxd: LxdSource) -> None:
    double.faults.pools_broken = True

    assert lxd.pools().spaces == {}


def test_an_lxd_that_is_away_is_unavailable_until_it_is_back(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.add(DoubledInstance("web"))
    double.go_away()

    with pytest.raises(LxdUnavailable):
        lxd.instances()
    double.come_back()
    before = lxd.instances()
    double.go_away()
    with pytest.raises(LxdUnavailable):
        lxd.instances()
    double.come_back()

    assert [each.name for each in before] == ["web"]
    assert lxd.instances() == before


def test_an_answer_that_is_no_json_is_no_answer(double: LxdDouble, lxd: LxdSource) -> None:
    lxd.instances()
    double.faults.no_json = True

    with pytest.raises(LxdUnavailable):
        lxd.instances()
    with pytest.raises(LxdUnavailable):
        lxd.pools()


def test_a_first_answer_that_is_no_json_is_no_answer(double: LxdDouble, lxd: LxdSource) -> None:
    double.faults.no_json = True

    with pytest.raises(LxdUnavailable):
        lxd.instances()


@pytest.mark.parametrize("connected", [True, False])
def test_an_lxd_that_does_not_answer_in_time_is_unavailable(
    double: LxdDouble, lxd: LxdSource, connected: bool
) -> None:
    if connected:
        lxd.instances()
    double.faults.answer_delay_s = 3.0

    with pytest.raises(LxdUnavailable):
        lxd.instances()


def test_instances_of_other_projects_are_read_too(double: LxdDouble, lxd: LxdSource) -> None:
    double.add(DoubledInstance("web"))
    double.add(DoubledInstance("web", project="shop"))

    assert {one.project for one in lxd.instances()} == {"default", "shop"}


def test_a_member_of_a_cluster_measures_its_own_instances_only(tmp_path: Path) -> None:
    with LxdDouble(tmp_path / "member.socket", member="node-1") as member:
        member.add(DoubledInstance("mine", location="node-1"))
        member.add(DoubledInstance("theirs", location="node-2"))
        lxd = source(member)

        assert [one.name for one in lxd.instances()] == ["mine"]


@pytest.mark.attack
def test_an_instance_that_cannot_be_read_leaves_the_others_as_they_are(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.add(DoubledInstance("web", status="Running", memory_usage=7))
    double.add(DoubledInstance("odd", status="Running", memory_usage="much", processes=10**30))
    double.add(DoubledInstance("none", type=5))

    web, odd, none = lxd.instances()

    assert web.state is not None
    assert (web.name, web.state.memory.usage, web.unreadable) == ("web", 7, 0)
    assert odd.state is not None
    assert (odd.name, odd.state.memory.usage, odd.unreadable) == ("odd", 0, 1)
    assert none.name == ""


@pytest.mark.attack
def test_an_instance_that_lxd_tells_nothing_of_is_refused_and_lxd_is_there(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.refused["/1.0/instances/web/state"] = 500

    with pytest.raises(InstanceRefused):
        lxd.instance("default", "web")


@pytest.mark.attack
@pytest.mark.parametrize(
    "path", ["/1.0/storage-pools", "/1.0/profiles/default", "/1.0/storage-pools/default/resources"]
)
@pytest.mark.parametrize(
    "answer", [None, '{"metadata": 5}', '{"metadata": [{"name": 5}, {"space": {"used": -1}}]}']
)
def test_a_question_that_is_refused_or_not_answered_leaves_the_others_as_they_are(
    double: LxdDouble, lxd: LxdSource, path: str, answer: str | None
) -> None:
    double.add(DoubledInstance("web"))
    if answer is None:
        double.faults.refused[path] = 500
    else:
        double.faults.answers[path] = answer

    pools = lxd.pools()

    assert pools.default == ("" if "profiles" in path else "default")
    assert list(pools.spaces) == (["default"] if "profiles" in path else [])
    assert [each.name for each in lxd.instances()] == ["web"]


@pytest.mark.parametrize("space", ['{"used": -1, "total": 5}', f'{{"used": 1, "total": {2**64}}}'])
def test_a_pool_of_an_impossible_size_is_left_out(
    double: LxdDouble, lxd: LxdSource, space: str
) -> None:
    path = "/1.0/storage-pools/default/resources"
    double.faults.answers[path] = f'{{"metadata": {{"space": {space}}}}}'

    assert lxd.pools() == Pools({}, "default")


def test_an_lxd_that_refuses_its_metrics_tells_no_details(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.faults.refused["/1.0/metrics"] = 403

    assert lxd.details(Dropped()) == {}


@pytest.mark.attack
def test_what_the_agent_of_a_virtual_machine_says_costs_its_own_values_only(
    double: LxdDouble, lxd: LxdSource
) -> None:
    added = [address("inet", f"10.1.{number // 250}.{number % 250}") for number in range(4000)]
    nics = {
        "eth0": Nic(received=5, sent=-1, addresses=added),
        "x" * 300: Nic(received=2**63 - 1, sent=1),
        "wifi": Nic(received=2**63 - 1, sent=1),
    }
    double.add(DoubledInstance("web", type="virtual-machine", status="Running", memory_usage=7))
    double.add(
        DoubledInstance(
            "evil",
            type="virtual-machine",
            status="Running",
            memory_usage=18_000_000_000_000_000_000,
            processes=-7,
            nics=nics,
        )
    )
    taken: list[bytes] = []
    cache = InstanceCache(lxd, lambda: HOST, lambda: 1000.0, InstanceErrors(), period_s=60.0)
    sources = Sources(
        FakeCgroups(), FakeNetwork(), lambda: HOST, lambda _: None, lambda: 1000.0, lambda: ""
    )
    sampling = Sampling(
        sources, cache, lambda sample: taken.append(encode(sample)), epoch=1, interval_s=5.0
    )

    sampling.take()

    web, evil = decode(Sampled, taken[0]).instances
    assert (web.name, web.memory_used, web.processes, web.network_rx) == ("web", 7, 2, 0)
    assert (evil.memory_used, evil.processes, evil.network_rx, evil.network_tx) == (None,) * 4
    assert [each.device for each in evil.interfaces or ()] == ["wifi"]
    assert 20 < len(evil.addresses) <= 64


@pytest.mark.attack
def test_an_event_that_cannot_be_read_ends_nothing(double: LxdDouble, lxd: LxdSource) -> None:
    double.add(DoubledInstance("web"))
    opened, heard = threading.Event(), queue.Queue[LifecycleEvent]()

    def listen() -> None:
        with suppress(LxdUnavailable):
            lxd.listen(opened.set, heard.put)

    listening = threading.Thread(target=listen)
    listening.start()
    assert opened.wait(timeout=5)

    double.emit({"action": 5, "source": ["/1.0/instances/web"]})
    double.emit({"action": "instance-started", "source": "//["})
    double.change_state("web", "start")
    odd, started = heard.get(timeout=5), heard.get(timeout=5)
    double.go_away()
    listening.join(timeout=5)

    assert odd.identity == ("default", "[")
    assert started.identity == ("default", "web")


@pytest.mark.attack
def test_an_instance_that_lxd_tells_of_without_end_is_left_out_and_the_others_are_read(
    double: LxdDouble,
) -> None:
    lxd = source(double, most_bytes=1 << 20, read_s=5.0)
    added = Nic(addresses=[address("inet6", "fd42::1")] * 20_000)
    double.add(DoubledInstance("web", status="Running", memory_usage=7))
    double.add(DoubledInstance("evil", status="Running", nics={"eth0": added}))

    [web] = lxd.instances()

    assert web.name == "web"
    assert web.state is not None
    assert web.state.memory.usage == 7
    with pytest.raises(InstanceRefused):
        lxd.instance("default", "evil")


def test_instances_that_are_too_much_for_one_answer_are_read_one_by_one(double: LxdDouble) -> None:
    lxd = source(double, most_bytes=1 << 20, read_s=5.0)
    many = [address("inet6", "fd42::1")] * 2000
    double.add_all(
        DoubledInstance(f"c{number}", status="Running", nics={"eth0": Nic(addresses=many)})
        for number in range(20)
    )

    assert {one.name for one in lxd.instances()} == {f"c{number}" for number in range(20)}


@pytest.mark.attack
def test_metrics_without_end_are_none(double: LxdDouble) -> None:
    lxd = source(double, most_bytes=1 << 20, read_s=5.0)
    double.faults.answers["/1.0/metrics"] = "#" * (2 << 20)
    dropped = Dropped()

    assert lxd.details(dropped) == {}
    assert dropped == {"too_many": 1}


@pytest.mark.attack
@pytest.mark.parametrize("body", ["#" * (2 << 20), "[" * 100_000, "5", '{"metadata": 5}'])
def test_what_lxd_does_not_tell_of_a_pool_is_unknown(double: LxdDouble, body: str) -> None:
    lxd = source(double, most_bytes=1 << 20, read_s=5.0)
    whole = lxd.pools()

    double.faults.answers["/1.0/storage-pools/default/resources"] = body
    without_space = lxd.pools()
    double.faults.answers = {"/1.0/profiles/default": body}
    without_default = lxd.pools()

    assert without_space == replace(whole, spaces={})
    assert without_default == replace(whole, default="")


@pytest.mark.attack
@pytest.mark.parametrize("body", ["#" * (2 << 20), "[" * 100_000])
def test_a_list_of_pools_without_end_is_no_answer(double: LxdDouble, body: str) -> None:
    lxd = source(double, most_bytes=1 << 20, read_s=5.0)
    double.faults.answers["/1.0/storage-pools"] = body

    with pytest.raises(LxdUnavailable):
        lxd.pools()


@pytest.mark.attack
def test_a_list_that_is_too_long_is_read_by_names_and_one_without_end_is_none(
    double: LxdDouble,
) -> None:
    lxd = source(double, most_bytes=1 << 16, read_s=5.0)
    double.add_all(DoubledInstance(f"c{n}", description="x" * 1000) for n in range(100))
    double.add(DoubledInstance("c0", project="other"))

    assert {(one.project, one.name) for one in lxd.instances()} == {
        *(("default", f"c{n}") for n in range(100)),
        ("other", "c0"),
    }
    double.faults.answers["/1.0/instances"] = "#" * (1 << 17)
    with pytest.raises(LxdUnavailable):
        lxd.instances()


@pytest.mark.attack
def test_a_first_answer_that_cannot_be_read_is_asked_for_again(double: LxdDouble) -> None:
    lxd = source(double, read_s=5.0)
    for body in ("[" * 100_000, '{"type": "sync", "metadata": {"environment": 5}}'):
        double.faults.answers["/1.0"] = body
        with pytest.raises(LxdUnavailable):
            lxd.instances()
    double.faults.answers.clear()

    assert lxd.instances() == []
    assert double.requests[-2] == "GET /1.0"


def test_answers_that_are_read_or_refused_leave_no_connection_behind(
    double: LxdDouble, lxd: LxdSource
) -> None:
    double.add(DoubledInstance("web"))
    before = sockets()

    for _ in range(50):
        lxd.instances()
        lxd.instance("default", "nobody")

    assert sockets() < before + 10


def sockets() -> int:
    """Return how many sockets this process has, the double's included."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(link.readlink()).startswith("socket:") for link in links)
