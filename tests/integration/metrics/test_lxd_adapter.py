"""The sampler's LXD adapter against the double: what it asks for, and how it fails."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.metrics.adapters.lxd import LxdOverSocket
from services.metrics.domain.described import Space
from services.metrics.domain.lifecycle import LxdEvent
from shared.contracts.errors import LxdUnavailable
from shared.platform.lxd_scope import LxdScope
from shared.testing.lxd_double import DoubledInstance, LxdDouble


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


@pytest.fixture
def lxd(double: LxdDouble) -> LxdOverSocket:
    return LxdOverSocket("h1", double.socket, timeout_s=1.0, scope=LxdScope())


def test_all_instances_are_read_in_one_request(double: LxdDouble, lxd: LxdOverSocket) -> None:
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


def test_one_instance_is_read_in_one_request(double: LxdDouble, lxd: LxdOverSocket) -> None:
    double.add(DoubledInstance("web", status="Running", memory_usage=7))
    lxd.instances()
    asked_before = len(double.requests)

    web = lxd.instance("default", "web")

    assert double.requests[asked_before:] == ["GET /1.0/instances/web?project=default&recursion=1"]
    assert web is not None
    assert web.state is not None
    assert web.state.memory.usage == 7


def test_an_instance_that_is_not_there_is_none(lxd: LxdOverSocket) -> None:
    assert lxd.instance("default", "web") is None


def test_an_lxd_that_has_no_metrics_tells_no_details(lxd: LxdOverSocket) -> None:
    assert lxd.details() == {}


def test_the_details_of_an_lxd_that_is_away_are_unavailable(
    double: LxdDouble, lxd: LxdOverSocket
) -> None:
    lxd.instances()
    double.go_away()

    with pytest.raises(LxdUnavailable):
        lxd.details()


def test_events_are_heard_from_the_opening_until_lxd_goes_away(
    double: LxdDouble, lxd: LxdOverSocket
) -> None:
    double.add(DoubledInstance("web"))
    opened, heard = threading.Event(), queue.Queue[LxdEvent]()

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
    assert started.looks_s
    assert not listening.is_alive()


def test_an_lxd_that_is_away_cannot_be_heard(double: LxdDouble, lxd: LxdOverSocket) -> None:
    lxd.instances()
    double.go_away()
    opened = threading.Event()

    with pytest.raises(LxdUnavailable):
        lxd.listen(opened.set, lambda _: None)

    assert not opened.is_set()


def test_pools_tell_their_space_and_which_is_the_default(lxd: LxdOverSocket) -> None:
    pools = lxd.pools()

    assert pools.spaces == {"default": Space(used=10 << 30, total=100 << 30)}
    assert pools.default == "default"


def test_a_pool_that_does_not_tell_its_space_is_left_out(
    double: LxdDouble, lxd: LxdOverSocket
) -> None:
    double.faults.pools_broken = True

    assert lxd.pools().spaces == {}


def test_an_lxd_that_is_away_is_unavailable_until_it_is_back(
    double: LxdDouble, lxd: LxdOverSocket
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


def test_an_answer_that_is_no_json_is_no_answer(double: LxdDouble, lxd: LxdOverSocket) -> None:
    lxd.instances()
    double.faults.no_json = True

    with pytest.raises(LxdUnavailable):
        lxd.instances()
    with pytest.raises(LxdUnavailable):
        lxd.pools()


def test_a_first_answer_that_is_no_json_is_no_answer(double: LxdDouble, lxd: LxdOverSocket) -> None:
    double.faults.no_json = True

    with pytest.raises(LxdUnavailable):
        lxd.instances()


@pytest.mark.parametrize("connected", [True, False])
def test_an_lxd_that_does_not_answer_in_time_is_unavailable(
    double: LxdDouble, lxd: LxdOverSocket, connected: bool
) -> None:
    if connected:
        lxd.instances()
    double.faults.answer_delay_s = 3.0

    with pytest.raises(LxdUnavailable):
        lxd.instances()


def test_instances_of_other_projects_are_read_too(double: LxdDouble, lxd: LxdOverSocket) -> None:
    double.add(DoubledInstance("web"))
    double.add(DoubledInstance("web", project="shop"))

    assert {one.project for one in lxd.instances()} == {"default", "shop"}


def test_a_member_of_a_cluster_measures_its_own_instances_only(tmp_path: Path) -> None:
    with LxdDouble(tmp_path / "member.socket", member="node-1") as member:
        member.add(DoubledInstance("mine", location="node-1"))
        member.add(DoubledInstance("theirs", location="node-2"))
        lxd = LxdOverSocket("h1", member.socket, timeout_s=1.0, scope=LxdScope())

        assert [one.name for one in lxd.instances()] == ["mine"]
