"""One instance, or one question, that LXD answers with nonsense costs nothing but itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.lxd_worker.instances.description import EditableInstance, InstanceDescription
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.lxd_worker.omissions import Omission
from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.reports.publishing import ReportContext
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.codec import decode, encode
from shared.contracts.errors import LxdRefused, LxdUnavailable
from shared.contracts.events import MAX_BYTES, Event, InstanceChanged, Inventory
from shared.contracts.instances import Instance
from shared.lxd.client import MOST_BYTES_IN_PART, LxdClient
from shared.lxd.models import LifecycleEvent, LifecycleMetadata, LxdTask
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.lxd_double.instances import Nic, address
from tests.support.clock import FakeClock
from tests.support.lxd_worker.journal import FakeJournal
from tests.support.lxd_worker.wire import Omissions

pytestmark = pytest.mark.attack

WEB = ("default", "web")
CONFIG = {"volatile.uuid": "u-web", "limits.cpu": "2", "limits.memory": "1GiB"}


class Host:
    """A worker's reports over a double with `web`, which is hostile, and `db`, which is not."""

    def __init__(self, double: LxdDouble) -> None:
        self.omissions = Omissions()
        self.web, self.db = DoubledInstance("web"), DoubledInstance("db", config=dict(CONFIG))
        double.add_all([self.web, self.db])
        self.double = double
        api = LxdClient(double.socket, "h1", partial(self.omissions, Omission.ANSWER))
        self.lxd = LxdDaemon(api, 1 << 40, LxdScope(), self.omissions)
        self.sent: list[Event] = []
        self.report = InventoryReport(
            ReportContext(1, self.sent.append, FakeClock(), self.omissions, lambda *_: None),
            self.lxd,
            FakeJournal(FakeClock()),
            lambda: None,
            lambda: True,
        )

    def told(self) -> dict[str, Instance]:
        """Return what a reader takes from a new inventory."""
        self.report.request_all()
        self.report.publish_requested()
        return {one.name: one for one in decode(Inventory, encode(self.sent[-1])).instances}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


@pytest.fixture
def host(double: LxdDouble) -> Host:
    return Host(double)


def with_config(**config: Any) -> dict[str, Any]:
    return {"expanded_config": CONFIG | config}


HOSTILE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"status": None}, {"status": ""}),
    ({"status": 10**400}, {"status": ""}),
    ({"created_at": "9999-12-31T23:59:59-12:00"}, {"created_at": ""}),
    ({"created_at": "0001-01-01T00:00:00+08:00"}, {"created_at": ""}),
    ({"created_at": "yesterday"}, {"created_at": ""}),
    ({"created_at": 5}, {"created_at": ""}),
    ({"description": "a\x00b\ud800"}, {"description": "a\ufffdb\ufffd"}),
    ({"profiles": "default"}, {"profiles": ()}),
    ({"expanded_config": {**CONFIG, "user.ssh_port": 22}}, {"user": {}, "uuid": "u-web"}),
    (with_config(**{"limits.memory": "9" * 5000}), {"memory_limit": None, "cpu_limit": "2"}),
    (with_config(**{"limits.cpu": "9" * 5000}), {"cpu_limit": "9" * 5000}),
    (with_config(**{"image.os": "x" * 300}), {"os": "x" * 255}),
    ({"expanded_devices": {"root": None}}, {"root_size": None, "uuid": "u-web"}),
    ({"expanded_devices": ["root"]}, {"networks": (), "uuid": "u-web"}),
    ({"location": 10**30}, {"location": ""}),
    ({"description": "x" * 2**20}, {"description": "x" * 8192}),
    ({"profiles": ["a", 5, "b" * 256]}, {"profiles": ("a",)}),
    (with_config(**{"user.lxdfleet.label." + "k" * 300: "v"}), {"labels": {}}),
]


@pytest.mark.parametrize(("instead", "expected"), HOSTILE)
def test_a_value_out_of_bounds_is_unknown_or_cut_and_no_other(
    host: Host, instead: dict[str, Any], expected: dict[str, Any]
) -> None:
    host.web.instead = {"expanded_config": CONFIG} | instead

    told = host.told()

    assert {field: getattr(told["web"], field) for field in expected} == expected
    assert (told["db"].cpu_limit, told["db"].memory_limit) == ("2", 1 << 30)


@pytest.mark.parametrize("name", [None, 5, "", "no name", "x" * 64, "web\n"])
def test_an_instance_without_a_name_is_left_out_and_told_of_once(host: Host, name: object) -> None:
    host.web.instead = {"name": name}

    assert [set(host.told()), set(host.told())] == [{"db"}, {"db"}]
    assert host.omissions.of(Omission.ANSWER) or host.omissions.of(Omission.INSTANCE)


def test_an_instance_takes_no_more_than_its_room(host: Host) -> None:
    labels = {f"user.lxdfleet.label.{n}": "\u4e2d" * 255 for n in range(64)}
    host.web.instead = {"description": "\x01" * 8192, "expanded_config": CONFIG | labels}

    told = host.told()

    assert len(encode(told["web"])) <= 32 * 1024
    assert told["web"].cpu_limit == "2"
    assert host.omissions.of(Omission.FIELDS) == {"default/web"}


@pytest.mark.parametrize("instead", [one for one, _ in HOSTILE])
def test_a_hostile_instance_is_looked_at_and_told_like_any_other(
    host: Host, instead: dict[str, Any]
) -> None:
    host.web.instead = {"expanded_config": CONFIG} | instead

    reading = host.lxd.instance(*WEB)
    seen = [host.lxd.observe(*WEB), host.lxd.observe_briefly(*WEB), host.lxd.observe_fully(*WEB)]

    assert reading.instance is not None
    assert all(one is not None and one.name == "web" for one in seen)


STATE = "/1.0/instances/web/state"


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_instance_whose_state_lxd_refuses_is_looked_at_without_it(
    host: Host, status: int
) -> None:
    host.web.take_snapshot("s1")
    host.double.change_state("web", "start")
    host.double.faults.refused[STATE] = status

    look, whole = host.lxd.observe(*WEB), host.lxd.observe_fully(*WEB)

    assert look is not None
    assert whole is not None
    assert (look.status, look.init, whole.status, whole.init) == ("Running", None) * 2
    assert whole.snapshots == ("s1",)
    assert [one.name for one in host.lxd.snapshots(*WEB)] == ["s1"]


def test_a_guest_that_holds_its_state_up_does_not_hold_up_who_looks_at_it(host: Host) -> None:
    host.double.change_state("web", "start")
    host.double.faults.slow_s[STATE] = 3600.0

    look = host.lxd.observe(*WEB)

    assert look is not None
    assert (look.status, look.init) == ("Running", None)


def test_what_lxd_calls_running_but_knows_no_state_of_is_looked_at_again(host: Host) -> None:
    host.double.change_state("web", "start")
    host.double.faults.refused[STATE] = 500
    soon = threading.Timer(0.3, lambda: host.double.change_state("web", "stop"))

    soon.start()
    look = host.lxd.observe(*WEB)
    soon.join()

    assert look is not None
    assert look.status == "Stopped"


def test_what_lxd_never_knows_the_state_of_is_looked_at_without(host: Host) -> None:
    host.double.change_state("web", "start")
    host.double.faults.refused[STATE] = 500

    look = host.lxd.observe(*WEB)

    assert look is not None
    assert (look.status, look.init) == ("Running", None)


def test_an_lxd_that_went_away_meanwhile_is_no_instance_without_a_process(host: Host) -> None:
    host.double.change_state("web", "start")
    host.double.faults.refused |= {STATE: 503, "/1.0": 503}

    with pytest.raises(LxdUnavailable):
        host.lxd.observe(*WEB)


@pytest.mark.parametrize("uuid", ["u\x00", "u\ud800", "u" * 300])
def test_an_instance_is_told_by_the_uuid_by_which_it_is_known_again(host: Host, uuid: str) -> None:
    host.web.instead = with_config(**{"volatile.uuid": uuid})

    seen = host.lxd.observe_briefly(*WEB)

    assert seen is not None
    assert seen.uuid == host.told()["web"].uuid


def test_what_cannot_be_read_in_full_is_not_written_back(host: Host) -> None:
    api = LxdClient(host.double.socket, "h1")
    host.web.instead = {"config": {"a": 5}}

    with pytest.raises(LxdRefused):
        api.get_to_replace(EditableInstance, "instances", "web", params={"project": "default"})
    host.double.faults.no_json = True
    with pytest.raises(LxdUnavailable):
        api.get_to_replace(EditableInstance, "instances", "web", params={"project": "default"})


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=300)
    | st.sampled_from(["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "1" * 5000, "9" * 300])
)
CONFIGS = st.dictionaries(
    st.sampled_from(
        [
            "volatile.uuid", "limits.cpu", "limits.memory", "user.description", "user.ssh_port",
            "user.lxdfleet.name", "user.lxdfleet.operation", "user.lxdfleet.label.a",
            "boot.autostart", "image.os", "image.release",
        ]
    )
    | st.text(max_size=300).map("user.lxdfleet.label.".__add__),
    SCALARS,
    max_size=100,
)  # fmt: skip
DEVICES = st.dictionaries(
    st.text(max_size=300),
    st.dictionaries(
        st.sampled_from(["type", "path", "size", "network", "parent", "listen", "connect"]),
        st.sampled_from(["nic", "proxy", "disk", "/", "tcp:0.0.0.0:1-99999999"]) | SCALARS,
    )
    | SCALARS,
    max_size=20,
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "status": SCALARS,
        "type": SCALARS,
        "architecture": SCALARS,
        "created_at": SCALARS,
        "last_used_at": SCALARS,
        "description": SCALARS | st.just("x" * 2**20),
        "location": SCALARS,
        "profiles": st.lists(SCALARS, max_size=100) | SCALARS,
        "expanded_config": CONFIGS | SCALARS,
        "expanded_devices": DEVICES | SCALARS,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS)
def test_whatever_lxd_says_of_one_instance_its_neighbours_are_told_right(
    host: Host, instead: dict[str, Any]
) -> None:
    host.web.instead = {}
    db = host.told()["db"]
    host.web.instead = instead

    told = host.told()
    host.report.on_event(
        LifecycleEvent(LifecycleMetadata("instance-updated", "/1.0/instances/web"))
    )
    host.report.publish_requested()

    assert set(told) == {"web", "db"}
    assert replace(told["db"], revision=0) == replace(db, revision=0)
    assert decode(InstanceChanged, encode(host.sent[-1])).instance.name == "web"


def test_ten_thousand_instances_are_told_and_the_others_are_counted(host: Host) -> None:
    host.double.add_all(DoubledInstance(f"z{n:05}") for n in range(MOST_INSTANCES))

    told = host.told()

    assert len(told) == MOST_INSTANCES
    assert {"db", "web"} <= set(told)
    assert host.omissions.of(Omission.INSTANCE) == {"inventory"}


def test_an_inventory_of_large_instances_fits_its_message_and_costs_the_small_ones_nothing(
    host: Host,
) -> None:
    host.double.add_all(DoubledInstance(f"z{n}", description="\x01" * 5000) for n in range(500))

    told = host.told()

    assert len(encode(host.sent[-1])) <= MAX_BYTES[Inventory]
    assert (len(told), told["db"].cpu_limit, told["db"].uuid) == (502, "2", "u-web")


def test_a_large_instance_that_an_inventory_cut_is_told_whole_when_it_is_wanted(
    host: Host,
) -> None:
    host.double.add_all(DoubledInstance(f"z{n}", description="\x01" * 5000) for n in range(500))
    cut = host.told()["z7"]

    host.report.request_instance("default", "z7")
    host.report.publish_requested()

    whole = decode(InstanceChanged, encode(host.sent[-1])).instance
    assert len(cut.description) < len(whole.description)
    assert whole.description == "\x01" * 5000


NESTED = "[" * 100_000
QUESTIONS: list[Callable[[LxdClient], object]] = [
    lambda api: api.get(InstanceDescription, "instances", "web"),
    lambda api: api.get_to_replace(EditableInstance, "instances", "web", params={}),
    lambda api: api.put(LxdTask, "instances", "web", params={}, body={}),
    lambda api: api.post(LxdTask, "instances", "web", params={}, body={}),
    lambda api: api.delete(LxdTask, "instances", "web"),
]


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("body", [NESTED, "5", "[]", "#" * (2 << 20)])
def test_what_is_nested_without_end_too_long_or_no_answer_at_all_is_none(
    double: LxdDouble, ask: Callable[[LxdClient], object], body: str
) -> None:
    api = LxdClient(double.socket, "h1", most_bytes=1 << 20)
    double.faults.answers["/1.0/instances/web"] = body

    with pytest.raises(LxdUnavailable):
        ask(api)


@pytest.mark.parametrize(
    "body", [NESTED, "5", "[]", '{"error": 5}', '{"error": "\\ud83d"}', "#" * (2 << 20)]
)
def test_a_refusal_in_words_that_cannot_be_read_is_one(double: LxdDouble, body: str) -> None:
    api = LxdClient(double.socket, "h1")
    double.faults.answers["/1.0/projects"] = body
    double.faults.refused["/1.0/projects"] = 400

    with pytest.raises(LxdRefused):
        api.get(list[str], "projects")


def test_a_refusal_is_told_in_lxds_words(double: LxdDouble) -> None:
    api = LxdClient(double.socket, "h1")
    double.faults.refused["/1.0/projects"] = 500

    with pytest.raises(LxdRefused, match=r"^LXD refused: refused by the test$"):
        api.get(list[str], "projects")


def test_a_guest_with_addresses_without_end_is_looked_at_without_its_state(
    double: LxdDouble,
) -> None:
    omissions = Omissions()
    api = LxdClient(double.socket, "h1", most_bytes=1 << 20)
    lxd = LxdDaemon(api, 1 << 40, LxdScope(), omissions)
    added = Nic(addresses=[address("inet6", "fd42::1")] * 20_000)
    double.add(DoubledInstance("web", status="Running", nics={"eth0": added}))

    looked, examined = lxd.observe(*WEB), lxd.observe_fully(*WEB)

    assert looked is not None
    assert examined is not None
    assert (looked.status, looked.init, examined.init) == ("Running", None, None)


def test_a_long_list_of_which_one_value_is_none_is_no_answer(host: Host) -> None:
    host.web.instead = {"status": 5, "description": "x" * (MOST_BYTES_IN_PART // 2)}
    host.db.instead = {"description": "x" * (MOST_BYTES_IN_PART // 2)}

    with pytest.raises(LxdUnavailable):
        host.lxd.instances()


@pytest.mark.parametrize("total", ["-1", "null", "1e30", '"8"', str(2**64)])
def test_a_size_that_cannot_be_read_is_unknown_and_not_nothing(
    double: LxdDouble, total: str
) -> None:
    offer = LxdHostResources(LxdClient(double.socket, "h1"), listening=lambda: False)
    size = f'{{"total": {total}}}'
    double.faults.answers = {
        "/1.0/resources": f'{{"metadata": {{"cpu": {{"total": 8}}, "memory": {size}}}}}',
        "/1.0/storage-pools/default/resources": f'{{"metadata": {{"space": {size}}}}}',
    }

    with pytest.raises(LxdUnavailable):
        offer.machine()
    with pytest.raises(LxdUnavailable):
        offer.pool_size("default")
