"""A host with snapshot policies, whose time passes when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.lxd_worker.journal.database import JournalDatabase
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.policies.assembly import build_policies
from services.lxd_worker.policies.service import HostPolicies
from services.lxd_worker.policies.store import SqlPolicyStore
from shared.contracts.policies import Plan, Policy, PolicyRun, Retention, Schedule, Selection
from shared.policies.plan import plan_for
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.journal import here
from tests.support.lxd_worker.wire import Omissions, Wire

HOURLY = Schedule(cron="0 * * * *")


def a_policy(name: str = "hourly", **changes: Any) -> Policy:
    """Return a policy that is due every hour, for every instance, and keeps the last two."""
    policy = Policy(
        id=f"id-{name}",
        name=name,
        schedule=HOURLY,
        selection=Selection(names=("*",)),
        retention=Retention(keep_last=2),
    )
    return replace(policy, **changes)


def a_plan(*policies: Policy, version: int = 1, clock: float, **changes: Any) -> Plan:
    """Return the plan of host `h1`."""
    plan = plan_for("h1", policies, ["h1"], 4, 100, version, f"{clock:.3f}")
    return replace(plan, **changes)


@dataclass
class PolicyBench:
    """The worker of a bench with the tables of policies in a file.

    `boot` is the id of the boot, and the seconds since then less the clock's; `due` are the runs
    that a greenthread would work on.
    """

    folder: Path
    bench: Bench = field(default_factory=Bench)
    wire: Wire = field(default_factory=Wire)
    boot: tuple[str, float] = ("boot-1", 0.0)
    due: list[tuple[Callable[[str], None], str]] = field(default_factory=list)
    told: list[PolicyRun] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        self.open()

    @property
    def database(self) -> JournalDatabase:
        """The worker's database."""
        return self._database

    @property
    def lxd(self) -> Any:
        return self.bench.lxd

    @property
    def clock(self) -> Any:
        return self.bench.clock

    def open(self) -> None:
        """Begin a run of the worker: what it knew is what is in the file."""
        journal = SqlJournal(self.folder / "journal.db", here, Omissions())
        self.bench.journal = journal  # type: ignore[assignment]
        self.bench.spawned.clear()
        self.due.clear()
        self._database = journal.database
        self.store = SqlPolicyStore(journal.database, Omissions())
        self.policies = self._build()
        self.bench.spawned += journal.unfinished()

    def kill(self) -> None:
        """Be killed, and begin anew."""
        self.bench.journal.close()
        self.open()

    def give(self, *policies: Policy, **changes: Any) -> None:
        """Give the host a new plan."""
        self.version += 1
        self.policies.set_plan(
            a_plan(*policies, version=self.version, clock=self.clock.unix(), **changes)
        )

    def work(self) -> None:
        """Do everything that can be done at this moment."""
        self.policies.scheduler.work()
        while self.due or self.bench.spawned:
            self.step()
            self.policies.scheduler.work()

    def step(self) -> None:
        """Work on the next run, or else carry out the next operation."""
        if self.due:
            work, run_id = self.due.pop(0)
            work(run_id)
        elif self.bench.spawned:
            ended = OperationRunner(self.bench.context, self.bench.spawned.pop(0)).run()
            self.policies.scheduler.on_ended(ended)

    def until_hour(self, hours: int = 1) -> None:
        """Let time pass until an hour is full, and everything be done that is due then."""
        for _ in range(hours):
            self.to_full_hour()
            self.work()

    def to_full_hour(self) -> None:
        """Let time pass until an hour is full."""
        self.clock.advance(3600 - self.clock.unix() % 3600)

    def runs(self) -> list[PolicyRun]:
        """Return all runs, in the order of their last changes."""
        return self.store.runs_since(0, 1000)

    def snapshots(self, name: str = "web") -> list[str]:
        """Return the names of an instance's snapshots in LXD."""
        return list(self.lxd.holds[name].snapshots)

    def _build(self) -> HostPolicies:
        return build_policies(
            context=self.bench.context,
            reports=self.wire.context(self.clock),
            operations=self.bench.operations,
            store=self.store,
            cached=self.lxd.cached_instances,
            boot_time=lambda: (self.boot[0], self.clock.monotonic() + self.boot[1]),
            calculate=here,
            spawn=lambda work, run_id: self.due.append((work, run_id)),
            wake=lambda: None,
            runs_changed=lambda: None,
            protection_changed=lambda: None,
            ended=self.told.append,
        )


@contextmanager
def policy_bench(folder: Path) -> Iterator[PolicyBench]:
    """Yield a bench, and close its file at the end."""
    bench = PolicyBench(folder)
    try:
        yield bench
    finally:
        bench.bench.journal.close()
