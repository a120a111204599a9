"""Measure what the plan of a host with 1,000 instances costs its worker.

Ten policies, each instance selected by three of them, thirty snapshots of each. Measured in this
process, without LXD: what an hour of waiting takes, with an inventory read anew and a report of the
protection every minute; and what a day takes in which each instance gets 24 snapshots and loses 24,
without the operations themselves, which cost what they always cost.
"""

from __future__ import annotations

import dataclasses
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from msgspec.structs import replace
from sqlalchemy import Connection

from benchmarks.figures import Figure, at_most, show
from benchmarks.scale import Scale, from_environment
from services.lxd_worker.omissions import Omission
from services.lxd_worker.policies.records import SnapshotRecord
from services.lxd_worker.reports.publishing import BoundedPublisher
from shared.contracts.codec import encode
from shared.contracts.events import Event
from shared.contracts.instances import Instance
from shared.contracts.policies import Policy, Retention, Schedule, Selection
from tests.support.builders import an_instance
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

INSTANCES, SNAPSHOTS, POLICIES = 1000, 30, 10
HOUR_S, DAY_S = 3600, 86400
MOST_PERCENT, MOST_MB = 1.0, 10.0
# Instances whose runs are measured; a run costs the same however many there are.
RUNS = 100


def figures(_: Scale) -> Iterator[Figure]:
    """Measure memory, an hour of waiting, and a day of runs."""
    with tempfile.TemporaryDirectory() as folder, policy_bench(Path(folder)) as host:
        size_mb = _grown_mb(lambda: _prepare(host))
        what = f"a plan of {POLICIES} policies for {INSTANCES} instances in a worker"
        yield Figure(f"{what}: memory", f"{size_mb:.1f} MB", "", size_mb, at_most(MOST_MB, "MB"))
        percent = _idle_s(host) / HOUR_S * 100
        target = at_most(MOST_PERCENT, "% of a core")
        yield Figure(f"{what}: waiting", f"{percent:.3f} % of a core", "", percent, target)
        each_s = _run_s(host)
        percent = 24 * INSTANCES * each_s / DAY_S * 100
        yield Figure(
            f"{what}: a run an hour for each",
            f"{percent:.2f} % of a core, {each_s * 1000:.1f} ms a run",
            "without the operations",
            percent,
            target,
        )


def _prepare(host: PolicyBench) -> None:
    """Give the host its plan and its records, and report once."""
    context, publisher = host.policies.protection.context, BoundedPublisher(_encode, _omit)
    host.policies.protection.context = dataclasses.replace(context, publish=publisher)
    host.lxd.memory = _inventory()
    host.database.transaction(lambda tables: _record_all(host, tables))
    host.give(*_policies())
    host.policies.scheduler.work()
    host.policies.protection.publish()


def _idle_s(host: PolicyBench) -> float:
    """Return the CPU seconds of an hour in which nothing is due."""

    def hour() -> None:
        for _ in range(60):
            host.clock.advance(60)
            host.lxd.memory = _inventory()
            host.policies.scheduler.work()
            host.policies.protection.publish()

    made = _cpu_s(lambda: [_inventory() for _ in range(60)])
    return _cpu_s(hour) - made


def _run_s(host: PolicyBench) -> float:
    """Return the CPU seconds that one run takes of the policies, snapshot and pruning together."""
    host.lxd.memory = None
    host.lxd.holds = {f"c{number}": _observed(number) for number in range(RUNS)}
    host.bench.most_unfinished = 10_000
    host.give(a_policy(retention=Retention(keep_last=1), at_once=4))
    host.until_hour(2)
    operations_s = [0.0]
    step = host.step

    def timed() -> None:
        is_operation = not host.due
        began = time.process_time()
        step()
        operations_s[0] += (time.process_time() - began) if is_operation else 0.0

    host.step = timed  # type: ignore[method-assign]
    return (_cpu_s(lambda: host.until_hour(3)) - operations_s[0]) / (3 * RUNS)


def _policies() -> list[Policy]:
    yearly = Schedule(cron="0 0 1 1 *")
    return [
        a_policy(
            f"p{number}",
            schedule=yearly,
            selection=Selection(names=("*",), labels={f"tier-{number % 3}": str(number)}),
        )
        for number in range(POLICIES)
    ]


def _inventory() -> dict[tuple[str, str], Instance]:
    """Return the instances as if they had just been read."""
    labels = {"tier-0": "0", "tier-1": "1", "tier-2": "2"}
    names = (f"c{number}" for number in range(INSTANCES))
    return {("default", name): an_instance(name, labels=dict(labels)) for name in names}


def _record_all(host: PolicyBench, tables: Connection) -> None:
    for number in range(INSTANCES):
        for snapshot in range(SNAPSHOTS):
            host.store.put(tables, _record(number, snapshot))


def _record(number: int, snapshot: int) -> SnapshotRecord:
    return SnapshotRecord(
        project="default",
        uuid=f"uuid-c{number}",
        snapshot=f"p0-{snapshot}",
        created_at=f"2026-10-{snapshot + 1:02}T00:00:00Z",
        instance_created_at="2026-11-20T10:00:00Z",
        policy_id="id-p0",
        policy="p0",
    )


def _encode(event: Event) -> None:
    encode(event)


def _omit(what: Omission, subject: str, reason: str) -> None:
    raise AssertionError(f"{what} of {subject}: {reason}")


def _observed(number: int) -> Any:
    return replace(observation(uuid=f"u-{number}"), name=f"c{number}")


def _cpu_s(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def _grown_mb(work: Callable[[], object]) -> float:
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    work()
    gc.collect()
    return (process.memory_info().rss - before) / 2**20


if __name__ == "__main__":
    show(figures(from_environment()))
