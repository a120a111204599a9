"""Changes that take something of the host: more of its capacity, ports of its pool."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.port_pool import NatPool
from services.lxd_worker.instances.observation import InstanceConfig
from shared.contracts.errors import (
    FleetError,
    InsufficientResources,
    InvalidInput,
    OperationInProgress,
    PortInUse,
)
from shared.contracts.instance_config import Changes, Forward
from shared.contracts.instances import Proxy
from shared.contracts.operations import Arguments, Kind, State, Submission
from tests.support.builders import a_creation, a_submission
from tests.support.lxd_worker.bench import Bench

POOL = NatPool(host="h1", address="192.0.2.1", ssh=((20000, 20001),), ports=((30000, 30009),))
GIB = 1 << 30
SSH = Proxy(device="ssh", listen="tcp:192.0.2.1:20000", connect="tcp:127.0.0.1:22")


@pytest.fixture
def bench() -> Bench:
    """A worker with a pool of ports; port 22 of `db` is reached through it."""
    made = Bench(pool=POOL)
    made.lxd.holds["db"] = replace(made.lxd.holds["db"], config=InstanceConfig(proxies=(SSH,)))
    return made


def order(instance: str = "web", operation_id: str = "op", **changes: Any) -> Submission:
    arguments = Arguments(changes=Changes(**changes))
    return a_submission(Kind.UPDATE, instance, arguments, operation_id=operation_id)


def listening(bench: Bench, instance: str) -> set[str]:
    return {proxy.listen for proxy in bench.lxd.holds[instance].config.proxies}


def test_a_port_that_is_left_to_the_host_is_one_that_nobody_has(bench: Bench) -> None:
    forwards = (Forward(connect=22), Forward(connect=80, count=3))

    operation = bench.carry_out(order(forwards=forwards))

    assert operation.state is State.DONE
    assert listening(bench, "web") == {"tcp:192.0.2.1:20001", "tcp:192.0.2.1:30000-30002"}
    assert operation.arguments.changes is not None
    assert operation.arguments.changes.forwards == (
        Forward(listen=20001, connect=22),
        Forward(listen=30000, connect=80, count=3),
    )


def test_a_port_is_not_given_out_twice_while_lxd_is_still_asked_for_the_first(bench: Bench) -> None:
    bench.operations.submit(order(forwards=(Forward(connect=80),)))

    bench.operations.submit(order("db", "op-2", forwards=(Forward(connect=80),)))
    bench.work()

    assert listening(bench, "web") == {"tcp:192.0.2.1:30000"}
    assert listening(bench, "db") == {"tcp:192.0.2.1:30001"}


def test_forwards_that_are_no_longer_wanted_are_free_for_others(bench: Bench) -> None:
    bench.carry_out(order("db", forwards=()))

    operation = bench.carry_out(order("web", "op-2", forwards=(Forward(listen=20000, connect=22),)))

    assert operation.state is State.DONE
    assert listening(bench, "db") == set()
    assert listening(bench, "web") == {"tcp:192.0.2.1:20000"}


def test_an_instance_keeps_a_port_that_it_has_already(bench: Bench) -> None:
    operation = bench.carry_out(order("db", forwards=(Forward(listen=20000, connect=22),)))

    assert (operation.state, operation.changed) == (State.DONE, False)
    assert bench.lxd.asked == []


WEB = Proxy(device="forward-0", listen="tcp:192.0.2.1:30000", connect="tcp:127.0.0.1:80")
OPERATORS = Proxy(
    device="ssh",
    listen="tcp:192.0.2.1:20001",
    connect="tcp:127.0.0.1:22",
    options={"bind": "instance"},
)


def look(bench: Bench, name: str, *proxies: Proxy) -> None:
    bench.lxd.holds[name] = replace(bench.lxd.holds[name], config=InstanceConfig(proxies=proxies))


@pytest.mark.parametrize("forwards", [(), (Forward(listen=30000, connect=80),)])
def test_what_is_there_already_needs_no_pool(bench: Bench, forwards: tuple[Forward, ...]) -> None:
    bench.pool = NatPool(host="h1")
    look(bench, "web", SSH, WEB)

    same = bench.carry_out(order(forwards=(*forwards, Forward(listen=20000, connect=22))))
    fewer = bench.carry_out(order(operation_id="op-2", forwards=forwards))

    assert (same.state, fewer.state) == (State.DONE, State.DONE)
    assert listening(bench, "web") == {f"tcp:192.0.2.1:{one.listen}" for one in forwards}


def test_what_is_there_stays_on_its_address_when_more_is_wanted(bench: Bench) -> None:
    there = Proxy(device="forward-0", listen="tcp:203.0.113.9:30000", connect="tcp:127.0.0.1:80")
    look(bench, "web", there)

    bench.carry_out(order(forwards=(Forward(listen=30000, connect=80), Forward(connect=81))))

    assert listening(bench, "web") == {there.listen, "tcp:192.0.2.1:30001"}


def test_the_same_port_cannot_be_had_twice(bench: Bench) -> None:
    look(bench, "web", WEB)
    twice = (Forward(listen=30000, connect=80), Forward(listen=30000, connect=80))

    with pytest.raises(PortInUse):
        bench.operations.submit(order(forwards=twice))


def test_a_forward_of_an_instance_leads_elsewhere_without_a_new_port(bench: Bench) -> None:
    look(bench, "web", WEB)
    bench.in_use = frozenset({("tcp", 30000)})

    operation = bench.carry_out(order(forwards=(Forward(listen=30000, connect=8080),)))

    assert (operation.state, listening(bench, "web")) == (State.DONE, {WEB.listen})


def test_a_port_inside_another_instance_is_none_of_the_hosts(bench: Bench) -> None:
    look(bench, "db", OPERATORS)

    operation = bench.carry_out(order(forwards=(Forward(listen=20001, connect=22),)))

    assert (operation.state, listening(bench, "web")) == (State.DONE, {"tcp:192.0.2.1:20001"})


def test_a_label_that_is_there_already_is_not_judged(bench: Bench) -> None:
    odd = {"two words": "x"}
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], config=InstanceConfig(labels=odd))

    operation = bench.carry_out(order(labels={**odd, "new": "y"}))

    assert operation.state is State.DONE
    with pytest.raises(InvalidInput):
        bench.operations.submit(order(operation_id="op-2", labels={"two words": "z"}))


@pytest.mark.parametrize(
    ("forward", "error"),
    [
        (Forward(listen=20000, connect=22), PortInUse),
        (Forward(listen=30009, connect=80), PortInUse),
        (Forward(listen=80, connect=80), InvalidInput),
        (Forward(connect=80, protocol="icmp"), InvalidInput),
        (Forward(connect=80, count=11), InsufficientResources),
    ],
)
def test_a_port_that_cannot_be_had_is_refused_before_lxd_is_asked(
    bench: Bench, forward: Forward, error: type[FleetError]
) -> None:
    bench.in_use = frozenset({("tcp", 30009)})

    with pytest.raises(error):
        bench.operations.submit(order(forwards=(forward,)))

    assert bench.journal.length == 0


def test_a_virtual_machine_has_no_forwards(bench: Bench) -> None:
    bench.lxd.limits["web"] = {"type": "virtual-machine"}

    with pytest.raises(InvalidInput):
        bench.operations.submit(order(forwards=(Forward(connect=80),)))


def test_while_an_instance_is_created_its_ports_are_those_of_its_creation(bench: Bench) -> None:
    bench.operations.submit(creation := a_creation("shop"))
    wanted = replace(order("shop", "op-2", forwards=(Forward(connect=80),)), uuid=creation.uuid)

    with pytest.raises(OperationInProgress):
        bench.operations.submit(wanted)


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({"cpu": 17}, "cpu"),
        ({"memory": 9 * GIB}, "memory"),
        ({"disk": 101 * GIB}, "disk"),
    ],
)
def test_no_more_is_promised_than_the_host_has(
    bench: Bench, changes: dict[str, int], resource: str
) -> None:
    with pytest.raises(InsufficientResources) as refusal:
        bench.operations.submit(order(**changes))

    assert refusal.value.resource == resource


def test_what_an_instance_has_already_is_not_counted_twice(bench: Bench) -> None:
    bench.carry_out(order(memory=8 * GIB))

    same = bench.carry_out(order(operation_id="op-2", memory=8 * GIB, cpu=2))
    less = bench.carry_out(order(operation_id="op-3", memory=GIB))

    assert (same.state, less.state) == (State.DONE, State.DONE)


def test_a_host_that_has_promised_too_much_still_lets_itself_be_relieved(bench: Bench) -> None:
    bench.lxd.limits["db"] = {"memory_limit": 90 * GIB}

    operation = bench.carry_out(order("db", memory=80 * GIB, description="smaller"))

    assert operation.state is State.DONE


def restore(bench: Bench, port: int) -> Submission:
    """Return an order to restore `web` to when it had this port."""
    there = replace(bench.lxd.holds["web"], snapshots=("s1",))
    bench.lxd.holds["web"] = there
    listen = f"tcp:192.0.2.1:{port}"
    proxy = {"type": "proxy", "listen": listen, "connect": "tcp:127.0.0.1:80"}
    bench.lxd.devices_in_snapshot = {"forward-0": proxy, "root": {"type": "disk", "path": "/"}}
    return replace(order(), kind=Kind.RESTORE, arguments=Arguments(snapshot="s1"))


def test_a_snapshot_with_a_port_that_is_another_s_now_is_not_restored(bench: Bench) -> None:
    with pytest.raises(PortInUse):
        bench.operations.submit(restore(bench, 20000))

    assert bench.journal.length == 0


def test_a_port_that_comes_back_with_a_snapshot_is_given_to_nobody_else(bench: Bench) -> None:
    bench.operations.submit(restore(bench, 30000))

    bench.operations.submit(order("db", "op-2", forwards=(Forward(connect=80),)))
    bench.work()

    assert listening(bench, "db") == {"tcp:192.0.2.1:30001"}


def test_the_ports_that_an_instance_still_has_are_no_reason_against_its_snapshot(
    bench: Bench,
) -> None:
    bench.carry_out(order(forwards=(Forward(listen=30000, connect=80),)))
    bench.in_use = frozenset({("tcp", 30000)})

    operation = bench.carry_out(replace(restore(bench, 30000), operation_id="op-2"))

    assert operation.state is State.DONE
