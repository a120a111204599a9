"""What the worker tells Prometheus of an operation on a real container."""

from __future__ import annotations

import httpx

from deploy.local import processes
from shared.contracts.operations import Kind, State
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances, Lxd
from tests.support.worker_process import Prepare


def test_an_operation_is_counted_with_the_time_it_took(
    prepare: Prepare, lxd: Lxd, bus: BusSide, instances: Instances
) -> None:
    address = f"127.0.0.1:{processes.free_port()}"
    prepare(lxd.socket).start(FLEET_METRICS_BIND=address)
    bus.reach()
    name = instances.create()
    uuid = lxd.uuid_of(name)
    order = submission(Kind.START, name, uuid)

    bus.submit(order)
    assert bus.ended(order.operation_id).state is State.DONE

    told = httpx.get(f"http://{address}/metrics").text
    assert 'lxdfleet_worker_operations_total{kind="start",outcome="done"} 1.0' in told
    assert 'lxdfleet_worker_operations_total{kind="stop",outcome="done"} 0.0' in told
    assert "lxdfleet_worker_journal_length 1.0" in told
    assert order.operation_id not in told
    assert name not in told
