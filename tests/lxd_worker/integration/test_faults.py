"""What is away comes back, and the worker goes on by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shared.contracts.errors import HostUnreachable, LxdUnavailable, UnreadableMessage
from shared.contracts.events import Heartbeat, Inventory, OperationChanged
from shared.contracts.operations import Kind, State, Submission
from tests.support.broker import Vhost
from tests.support.bus_side import BusSide, submission
from tests.support.lifecycle import Lifecycle
from tests.support.line import Line
from tests.support.lxd import Instances, Lxd, OwnLxd
from tests.support.worker_process import Prepare, WorkerProcess

DEAF = {"raw.lxc": "lxc.signal.halt = SIGCONT"}


def order(lxd: Lxd, kind: Kind, name: str, **fields: object) -> Submission:
    return submission(kind, name, lxd.uuid_of(name), **fields)


def wait_for_lxd(bus: BusSide, *, connected: bool) -> None:
    so_far = len(bus.of(Heartbeat))
    bus.until(lambda: any(beat.lxd_connected is connected for beat in bus.of(Heartbeat)[so_far:]))


@contextmanager
def instances_on(lxd: Lxd) -> Iterator[Instances]:
    mine = Instances(lxd, "t")
    yield mine
    mine.delete_all()


def test_the_worker_goes_on_by_itself_when_lxd_was_stopped_and_started(
    own_lxd: OwnLxd, bus: BusSide, prepare: Prepare
) -> None:
    prepare(own_lxd.socket).start()
    wait_for_lxd(bus, connected=True)
    with instances_on(own_lxd) as instances:
        wanted = order(own_lxd, Kind.START, instances.create())

        own_lxd.stop()
        wait_for_lxd(bus, connected=False)
        with pytest.raises(LxdUnavailable):
            bus.submit(wanted)
        known = len(bus.of(Inventory))
        own_lxd.start()
        wait_for_lxd(bus, connected=True)

        bus.until(lambda: bus.of(Inventory)[known:])
        assert bus.operations_since(0).operations == []
        bus.submit(wanted)
        assert bus.ended(wanted.operation_id).state is State.DONE


def test_a_worker_may_start_before_its_lxd(own_lxd: OwnLxd, bus: BusSide, prepare: Prepare) -> None:
    own_lxd.stop()
    prepare(own_lxd.socket).start()
    wait_for_lxd(bus, connected=False)

    own_lxd.start()

    wait_for_lxd(bus, connected=True)
    bus.until(lambda: bus.of(Inventory))


def test_a_step_that_died_with_lxd_is_settled_when_lxd_is_back(
    own_lxd: OwnLxd, bus: BusSide, prepare: Prepare
) -> None:
    prepare(own_lxd.socket).start()
    wait_for_lxd(bus, connected=True)
    with instances_on(own_lxd) as instances:
        name = instances.launch(config=DEAF)
        wanted = order(own_lxd, Kind.STOP, name, arguments={"stop_timeout_s": 60.0})
        bus.submit(wanted)
        bus.until(lambda: [one for one in bus.of(OperationChanged) if one.operation.step])
        time.sleep(1.0)

        own_lxd.kill()
        wait_for_lxd(bus, connected=False)
        own_lxd.start()
        operation = bus.ended(wanted.operation_id)

        assert (operation.state, operation.failure and operation.failure.code) == (
            State.FAILED,
            "step_interrupted",
        )
        assert instances.status(name) == "Running"


def test_a_second_worker_of_the_same_host_stands_by_until_the_first_has_gone(
    lxd: Lxd, bus: BusSide, instances: Instances, prepare: Prepare
) -> None:
    first, second = prepare(lxd.socket), prepare(lxd.socket)
    first.start()
    bus.reach()
    second.start()
    bus.until(lambda: second.logged("standing by for another worker"))
    wanted = order(lxd, Kind.START, instances.create())

    first.kill()
    bus.reach()
    bus.submit(wanted)

    assert bus.ended(wanted.operation_id).state is State.DONE
    assert second.logged("operation ended")


def test_a_worker_that_is_stopped_in_an_operation_leaves_it_to_its_successor(
    lxd: Lxd,
    bus: BusSide,
    instances: Instances,
    lifecycle: Lifecycle,
    worker: WorkerProcess,
    prepare: Prepare,
) -> None:
    name = instances.launch()
    wanted = order(lxd, Kind.STOP, name)
    bus.submit(wanted)
    bus.until(lambda: [one for one in bus.of(OperationChanged) if one.operation.step])

    status = worker.stop()
    with pytest.raises(HostUnreachable):
        bus.submit(wanted)
    prepare(lxd.socket).start()
    operation = bus.ended(wanted.operation_id)

    assert status == 0
    assert operation.state is State.DONE
    assert Counter(lifecycle.of(name))["shutdown"] == 1


def test_an_outcome_that_the_broker_could_not_take_is_told_when_it_is_back(
    lxd: Lxd,
    vhost: Vhost,
    bus: BusSide,
    instances: Instances,
    prepare: Prepare,
    line: Callable[[int], Line],
) -> None:
    to_broker = line(vhost.broker.node.ports.amqp)
    behind_a_line = prepare(lxd.socket)
    uri = behind_a_line.environment["FLEET_AMQP_URI"]
    behind_a_line.start(
        FLEET_AMQP_URI=uri.replace(f":{vhost.broker.node.ports.amqp}/", f":{to_broker.port}/")
    )
    wait_for_lxd(bus, connected=True)
    wanted = order(lxd, Kind.STOP, instances.launch())
    bus.submit(wanted)

    to_broker.cut()
    bus.until(lambda: behind_a_line.logged("operation ended"))
    told_before = [one for one in bus.of(OperationChanged) if one.operation.final]
    inventories = len(bus.of(Inventory))
    to_broker.mend()
    mended_at = time.monotonic()
    operation = bus.ended(wanted.operation_id)

    assert told_before == []
    assert operation.state is State.DONE
    assert time.monotonic() - mended_at < 5.0
    bus.until(lambda: bus.of(Inventory)[inventories:] or None, timeout_s=2.0)


def test_the_epoch_grows_and_the_numbers_begin_anew_with_every_start(
    lxd: Lxd, bus: BusSide, prepare: Prepare
) -> None:
    for _ in range(2):
        process = prepare(lxd.socket)
        known = len(bus.of(Inventory))
        process.start()
        bus.until(lambda: bus.of(Inventory)[known:])  # noqa: B023 - called at once
        process.kill()

    first, second = (one.epoch for one in bus.of(Inventory) if one.sequence == 1)
    assert first < second


def test_no_nonsense_stops_the_worker(worker: WorkerProcess, bus: BusSide) -> None:
    nonsense = [None, 7, "x", [], {}, {"operation_id": 1}, {"operation_id": "a", "kind": "explode"}]

    for one in nonsense:
        with pytest.raises(UnreadableMessage):
            bus.call("submit", one)

    assert bus.operations_since(0).operations == []
