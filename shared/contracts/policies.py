"""Snapshot policies: what people ask for, what a host is given of it, and what it did.

A policy is made for the fleet. The snapshots service compiles the policies into a plan for each
host, and the host's worker carries out its plan by itself, also while all central services are
away. Rules that both sides need (when a policy is due, which snapshots it keeps) are in
`shared.policies`.

A *slot* is one scheduled time of one policy for one instance. Its operation's id follows from it,
so that nothing is taken twice, whoever starts it.

History:

    1.0  2026-11  Plan, PolicyRun, PolicyRunPage, SimulationRequest, Simulation, SnapshotMark,
                  RunRequest, RunsStarted
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid5

from msgspec import Meta, Struct

from shared.contracts.bounds import (
    MOST_INSTANCES,
    Count,
    Duration,
    Moment,
    Name,
    Text,
    Version,
    Word,
)
from shared.contracts.instance_config import GuestCommand, Labels
from shared.contracts.instances import DEFAULT_PROJECT

VERSION = "1.0"

MOST_POLICIES = 1000
# Hosts, projects, globs or tags of one policy.
MOST_CHOICES = 256
MOST_KEPT = 10_000
MOST_AT_ONCE = 1000
# Of an instance, in a report.
MOST_POLICIES_OF_ONE = 32
# Words of a command, and snapshots that one run pruned, as far as they are listed.
MOST_LISTED = 64
MOST_DAYS = 1200
# Instances, and events or snapshots of each, in a simulation.
MOST_SIMULATED_INSTANCES = 200
MOST_SIMULATED = 2000
# Of one page.
MOST_RUNS = 1000
# Of the digest of a plan.
DIGEST = r"^[0-9a-f]{64}\Z"

# Kept snapshots of one rule.
Kept = Annotated[int, Meta(ge=0, le=MOST_KEPT)]
Choices = Annotated[tuple[Word, ...], Meta(max_length=MOST_CHOICES)]
AtOnce = Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)]
Digest = Annotated[str, Meta(pattern=DIGEST, max_length=64)]

_SLOTS = UUID("4f0c1f0e-6d1b-5c0a-9a55-4d6c0b6a51d7")


class Schedule(Struct, frozen=True, kw_only=True):
    """When a policy is due: a cron expression of five fields in an IANA time zone.

    Each host begins up to `jitter_s` seconds later, always equally late.
    """

    cron: Word
    timezone: Word = "UTC"
    jitter_s: Duration = 0.0


class Selection(Struct, frozen=True, kw_only=True):
    """The instances of a policy: those that fit every field that is not empty.

    `names` are globs (`*`, `?`, `[...]`) over the instances' names in LXD. A selection whose fields
    are all empty selects nothing; `names` of `*` selects everything.
    """

    hosts: Choices = ()
    projects: Choices = ()
    names: Choices = ()
    labels: Labels = {}


class RetentionRule(StrEnum):
    """Whose rule decides which snapshots are kept: restic's, or Proxmox Backup Server's."""

    RESTIC = "restic"
    PBS = "pbs"


class Retention(Struct, frozen=True, kw_only=True):
    """How many snapshots are kept: the newest ones, and the newest of so many hours, days, ...

    Hours, days and so on are those of the policy's time zone, weeks begin on Monday (ISO 8601).
    Snapshots with one of `keep_tags` are always kept.
    """

    keep_last: Kept = 0
    keep_hourly: Kept = 0
    keep_daily: Kept = 0
    keep_weekly: Kept = 0
    keep_monthly: Kept = 0
    keep_yearly: Kept = 0
    keep_tags: Choices = ()
    rule: RetentionRule = RetentionRule.RESTIC


class Policy(Struct, frozen=True, kw_only=True):
    """A snapshot policy; `revision` grows by one with each change.

    `pattern` names the snapshots, see `shared.policies.naming`. A `pre` command that fails vetoes
    the snapshot; `post` runs whatever became of it. Both are left out for a stopped instance.
    `stateful` includes the memory of a running one. `at_once` limits how many snapshots of this
    policy a host takes at the same time.
    """

    id: Word
    name: Name
    schedule: Schedule
    selection: Selection
    retention: Retention
    revision: Count = 1
    enabled: bool = True
    description: Text = ""
    pattern: Word = "{policy}-{time}"
    pre: GuestCommand | None = None
    post: GuestCommand | None = None
    stateful: bool = False
    at_once: AtOnce = 2
    version: Version = VERSION


class Plan(Struct, frozen=True, kw_only=True):
    """All that a host has to know of the policies: those that may select instances of it.

    `plan_version` grows with every change, over all plans of the fleet; `digest` is that of the
    policies and limits (`shared.policies.plan.digest`). `at_once` is how many snapshots the host
    takes at the same time for all of them; it begins those of a slot `delay_s` later, so that the
    hosts of a fleet come one after another. `clock` is the Unix time of the sender as text, by
    which the host sees whether its own clock can be believed.
    """

    host: Word
    plan_version: Count
    digest: Digest
    clock: Word
    policies: Annotated[tuple[Policy, ...], Meta(max_length=MOST_POLICIES)] = ()
    at_once: AtOnce = 4
    delay_s: Duration = 0.0
    version: Version = VERSION


class RunState(StrEnum):
    """What became of a slot.

    `VETOED`: its `pre` command failed. `SKIPPED`: it was not even tried, for the reason that the
    run gives. `UNKNOWN`: nothing shows whether the snapshot was taken.
    """

    RUNNING = "running"
    TAKEN = "taken"
    VETOED = "vetoed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class PolicyRun(Struct, frozen=True, kw_only=True):
    """What was done for one slot, or for a request to run a policy now.

    `operation_id` is that of the snapshot, and the run's own id; if LXD was too busy for it,
    `further_operation` is that of another one. `slot` is the scheduled time; `manual`: somebody
    asked for it then. `sequence` grows with every change of any run of the host. `code` is that of
    the error, or a word of `shared.policies.reasons` for a skipped slot. `pruned` are the first
    names of the snapshots that it deleted, `pruned_count` is how many.
    """

    operation_id: Word
    policy_id: Word
    policy: Name
    revision: Count
    slot: Moment
    instance: Name
    uuid: Word
    state: RunState
    sequence: Count
    project: Word = DEFAULT_PROJECT
    manual: bool = False
    snapshot: Word = ""
    code: Word = ""
    message: Text = ""
    started_at: Moment = ""
    finished_at: Moment = ""
    pruned: Annotated[tuple[Word, ...], Meta(max_length=MOST_LISTED)] = ()
    pruned_count: Count = 0
    version: Version = VERSION


class SimulatedAction(StrEnum):
    """What a policy would do: take a snapshot, or delete one."""

    TAKE = "take"
    PRUNE = "prune"


class SimulatedEvent(Struct, frozen=True, kw_only=True):
    """Something that a policy would do; `reasons` are words of `shared.policies.retention`."""

    at: Moment
    action: SimulatedAction
    snapshot: Word
    reasons: Annotated[tuple[Word, ...], Meta(max_length=MOST_LISTED)] = ()


class JudgedSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot of an instance, whether it stays, and why.

    `taken`: it exists; else it would be taken. `owned`: a policy took it, so that it may be pruned.
    """

    snapshot: Word
    created_at: Moment
    taken: bool
    owned: bool
    kept: bool
    reasons: Annotated[tuple[Word, ...], Meta(max_length=MOST_LISTED)] = ()


class InstanceSimulation(Struct, frozen=True, kw_only=True):
    """What a policy would do with one instance, and what would be there afterwards."""

    name: Name
    uuid: Word
    project: Word = DEFAULT_PROJECT
    events: Annotated[list[SimulatedEvent], Meta(max_length=MOST_SIMULATED)] = []
    snapshots: Annotated[list[JudgedSnapshot], Meta(max_length=MOST_SIMULATED)] = []


class SimulationRequest(Struct, frozen=True, kw_only=True):
    """Ask a host what a policy would do from now on, for so many days.

    The policy need not exist. `name` is that of the only instance that is asked about; empty: the
    first `limit` that it selects.
    """

    policy: Policy
    days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] = 30
    project: Word = ""
    name: Word = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_SIMULATED_INSTANCES)] = 20
    version: Version = VERSION


class Simulation(Struct, frozen=True, kw_only=True):
    """What a policy would do on one host; `selected` counts its instances there.

    `truncated`: there is more of some instance than is listed.
    """

    selected: Count
    instances: Annotated[list[InstanceSimulation], Meta(max_length=MOST_SIMULATED_INSTANCES)]
    truncated: bool = False
    version: Version = VERSION


class SnapshotMark(Struct, frozen=True, kw_only=True):
    """Whether a snapshot is protected from every policy, and its tags for `keep_tags`."""

    project: Word
    name: Name
    uuid: Word
    snapshot: Word
    protected: bool = False
    tags: Choices = ()
    version: Version = VERSION


class RunRequest(Struct, frozen=True, kw_only=True):
    """Run a policy of the host's plan now, for all instances that it selects, or for one.

    `at` is the moment of the request, RFC 3339: it takes the slot's place, so that a request that
    is repeated starts nothing twice.
    """

    policy_id: Word
    at: Moment
    project: Word = ""
    name: Word = ""
    version: Version = VERSION


class RunsStarted(Struct, frozen=True, kw_only=True):
    """How many instances a host takes a snapshot of, for a request to run a policy."""

    instances: Count
    version: Version = VERSION


class PolicyRunPage(Struct, frozen=True, kw_only=True):
    """Runs of a host in the order of their sequence; `more`: the limit cut the page."""

    runs: Annotated[list[PolicyRun], Meta(max_length=MOST_RUNS)]
    more: bool = False
    version: Version = VERSION


class ProtectionState(StrEnum):
    """Whether an instance is protected by its policies.

    `LATE`: a slot is overdue. `FAILING`: its last slot brought no snapshot. `UNPROTECTED`: no
    policy selects it.
    """

    PROTECTED = "protected"
    LATE = "late"
    FAILING = "failing"
    UNPROTECTED = "unprotected"


class Protection(Struct, frozen=True, kw_only=True):
    """How well one instance is protected, as its host sees it.

    `newest_good` is the time of the newest snapshot that a policy took and that is still there;
    `snapshots` is how many of those there are. `due` is the next slot. `failures` counts the slots
    without a snapshot since the last one with; `code` is why.
    """

    name: Name
    uuid: Word
    state: ProtectionState
    project: Word = DEFAULT_PROJECT
    policies: Annotated[tuple[Name, ...], Meta(max_length=MOST_POLICIES_OF_ONE)] = ()
    newest_good: Moment = ""
    snapshots: Count = 0
    due: Moment = ""
    failures: Count = 0
    code: Word = ""


Protections = Annotated[list[Protection], Meta(max_length=MOST_INSTANCES)]


def slot_operation(policy_id: str, uuid: str, slot: str) -> str:
    """Return the id of the operation that takes the snapshot of a slot; `slot` is RFC 3339."""
    return str(uuid5(_SLOTS, f"{policy_id}\0{uuid}\0{slot}"))


def further_operation(run: str, attempt: int) -> str:
    """Return the id of the operation that tries again for a slot; the first one is the run's."""
    return str(uuid5(_SLOTS, f"again\0{run}\0{attempt}")) if attempt else run


def prune_operation(run: str, snapshot: str) -> str:
    """Return the id of the operation with which a run deletes a snapshot."""
    return str(uuid5(_SLOTS, f"prune\0{run}\0{snapshot}"))


def principal(policy: str) -> str:
    """Return on whose behalf operations of a policy are carried out."""
    return f"policy:{policy}"
