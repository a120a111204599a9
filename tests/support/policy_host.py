"""A host in memory that carries out policies for one instance, by the rules that workers use.

It has a clock that can be wrong, a list of snapshots as LXD has it, records of what policies took,
and a journal of slots. It remembers all that a test could complain of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.contracts.policies import Policy, slot_operation
from shared.policies import reasons
from shared.policies.moments import slot_text
from shared.policies.naming import snapshot_name
from shared.policies.retention import Held, Judgement, judge, pruned
from shared.policies.schedule import delay_s, latest_slot, next_slot

HOST, INSTANCE, UUID = "h1", "web", "0b4f6a3c-4a7e-4a5c-9d58-6a5f0f1f9a01"
# As in a worker: how far a clock may be off, and a slot may be recorded in advance.
MOST_OFF = timedelta(minutes=5)


@dataclass
class Snapshot:
    """A snapshot as LXD has it; `created_at` is by the host's clock."""

    name: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass
class Mark:
    """What people have said of a snapshot."""

    protected: bool = False
    tags: tuple[str, ...] = ()


@dataclass
class Taken:
    """A snapshot that a policy took for a slot."""

    policy: Policy
    slot: datetime
    at: datetime
    snapshot: str


@dataclass
class Pruned:
    """A snapshot that a policy deleted, and all that were there just before."""

    policy: Policy
    at: datetime
    snapshot: Held
    there: list[Held]
    clock_trusted: bool


@dataclass
class Left:
    """What was there after a policy had pruned."""

    policy: Policy
    at: datetime
    there: list[Held]


@dataclass
class PolicyHost:
    """Takes what is due and prunes what no rule keeps, as often as it is told that time goes on."""

    time: datetime
    plan_delay_s: float = 0.0
    off_by: timedelta = timedelta()
    clock_trusted: bool = True
    policies: dict[str, Policy] = field(default_factory=dict)
    begun: dict[str, datetime] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    # By the snapshot's name and time, as a worker has it: whose it is.
    owners: dict[tuple[str, datetime], str] = field(default_factory=dict)
    marks: dict[tuple[str, datetime], Mark] = field(default_factory=dict)
    journal: set[str] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)
    deleted: list[Pruned] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """The time by the host's clock."""
        return self.time + self.off_by

    def set_policy(self, policy: Policy) -> None:
        """Take a new policy, or a new revision; one with a new schedule begins now."""
        known = self.policies.get(policy.id)
        if known is None or known.schedule != policy.schedule:
            self.begun[policy.id] = self.now
        self.policies[policy.id] = policy

    def remove_policy(self, policy_id: str) -> None:
        """Forget a policy; its snapshots stay."""
        del self.policies[policy_id], self.begun[policy_id]

    def held(self, policy_id: str) -> list[Held]:
        """Return the instance's snapshots as a policy sees them."""
        return [self._held(each, policy_id) for each in self.snapshots.values()]

    def judged(self, policy: Policy) -> list[Judgement]:
        """Return what a policy's retention says now."""
        return judge(self.held(policy.id), policy.retention, policy.schedule.timezone, self.now)

    def due_at(self, policy: Policy) -> datetime:
        """Return the true time at which the next slot of a policy is begun."""
        slot = next_slot(policy.schedule, self.begun[policy.id])
        return slot + self._delay(policy) - self.off_by

    def live(self, duration: timedelta) -> None:
        """Let time go on; do what is due when it is due."""
        until = self.time + duration
        self.work()
        while due := [at for at in map(self.due_at, self.policies.values()) if at <= until]:
            self.time = max(self.time, min(due))
            self.work()
        self.time = until
        self._expire()

    def sleep(self, duration: timedelta) -> None:
        """Let time go on while the host is off."""
        self.time += duration
        self._expire()

    def work(self, dies_after_taking: bool = False) -> None:
        """Do what is due now; `dies_after_taking`: what is recorded last is lost."""
        self._expire()
        for policy in list(self.policies.values()):
            if self.begun[policy.id] > self.now + MOST_OFF:
                self.begun[policy.id] = self.now
            until = self.now - self._delay(policy)
            slot = latest_slot(policy.schedule, self.begun[policy.id], until)
            if slot is not None:
                self._run(policy, slot)
                if not dies_after_taking:
                    self.begun[policy.id] = slot

    def _run(self, policy: Policy, slot: datetime) -> None:
        operation = slot_operation(policy.id, UUID, slot_text(slot))
        name = snapshot_name(policy, INSTANCE, slot)
        if operation in self.journal or name in self.snapshots:
            return
        self.journal.add(operation)
        self.snapshots[name] = Snapshot(name, self.now)
        self.owners[name, self.now] = policy.id
        self.taken.append(Taken(policy, slot, self.now, name))
        if self.clock_trusted:
            self._prune(policy)

    def _prune(self, policy: Policy) -> None:
        for each in pruned(self.judged(policy)):
            there = self.held(policy.id)
            self.deleted.append(Pruned(policy, self.now, each.held, there, self.clock_trusted))
            del self.snapshots[each.held.name]
        self.left.append(Left(policy, self.now, self.held(policy.id)))

    def _held(self, snapshot: Snapshot, policy_id: str) -> Held:
        key = snapshot.name, snapshot.created_at
        mark = self.marks.get(key, Mark())
        guards = (
            (reasons.FOREIGN,) * (self.owners.get(key) != policy_id)
            + (reasons.PROTECTED,) * mark.protected
            + (reasons.EXPIRES,) * (snapshot.expires_at is not None)
        )
        return Held(snapshot.name, snapshot.created_at, mark.tags, guards)

    def _expire(self) -> None:
        for name, each in list(self.snapshots.items()):
            if each.expires_at is not None and each.expires_at <= self.now:
                del self.snapshots[name]

    def _delay(self, policy: Policy) -> timedelta:
        return timedelta(seconds=delay_s(policy.schedule, HOST, self.plan_delay_s))
