"""The tables of policies, in the journal's file and thread; see `PolicyStore`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from services.lxd_worker.journal.database import JournalDatabase
from services.lxd_worker.journal.tables import (
    clock_agreement,
    last_policy_sequence,
    policy_cursors,
    policy_failures,
    policy_plan,
    policy_runs,
)
from services.lxd_worker.omissions import Omission, Omit
from services.lxd_worker.policies.protocol import RunChange
from services.lxd_worker.policies.records import (
    ClockAgreement,
    Cursor,
    Failures,
    Phase,
    RunRecord,
    SnapshotRecord,
)
from services.lxd_worker.policies.runs import ends_failures, is_failure
from services.lxd_worker.policies.snapshot_store import SnapshotTable
from shared.contracts.policies import Plan, PolicyRun

T = TypeVar("T")

# Runs that are over; beyond that the oldest go, reported or not.
MOST_RUNS = 200_000

_FOLLOWING = (
    update(last_policy_sequence)
    .values(sequence=last_policy_sequence.c.sequence + 1)
    .returning(last_policy_sequence.c.sequence)
)
_OF_ID = policy_runs.c.operation_id == bindparam("id")
_RUN = select(policy_runs).where(_OF_ID)
_REPLACE = update(policy_runs).where(_OF_ID)
_CONFIRM = _REPLACE.where(policy_runs.c.sequence == bindparam("sent")).values(confirmed=True)


class SqlPolicyStore(SnapshotTable):
    """See `PolicyStore`."""

    def __init__(self, database: JournalDatabase, omit: Omit) -> None:
        super().__init__(database)
        self._omit = omit

    def plan(self) -> Plan | None:
        """See `PolicyStore.plan`."""
        body = self._do(lambda connection: connection.scalar(select(policy_plan.c.plan)))
        plan = _decoded(Plan, body) if body else None
        if body and plan is None:
            self._omit(Omission.POLICY, "plan", "it cannot be read")
        return plan

    def replace_plan(self, plan: Plan, cursors: Mapping[str, Cursor]) -> None:
        """See `PolicyStore.replace_plan`."""
        row = {
            "plan_version": plan.plan_version,
            "digest": plan.digest,
            "plan": msgspec.json.encode(plan),
        }
        rows = [
            {"policy_id": policy_id, **msgspec.structs.asdict(cursor)}
            for policy_id, cursor in cursors.items()
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(policy_plan))
            connection.execute(insert(policy_plan), row)
            connection.execute(delete(policy_cursors))
            if rows:
                connection.execute(insert(policy_cursors), rows)
            named = policy_failures.c.policy_id.in_(list(cursors))
            connection.execute(delete(policy_failures).where(~named))

        self._do(work)

    def cursors(self) -> dict[str, Cursor]:
        """See `PolicyStore.cursors`."""
        rows = self._do(lambda connection: connection.execute(select(policy_cursors)).all())
        return {
            row.policy_id: Cursor(
                schedule=row.schedule, slot=row.slot, behind=row.behind, left_at=row.left_at
            )
            for row in rows
        }

    def set_behind(self, policy_id: str, behind: float | None) -> None:
        """See `PolicyStore.set_behind`."""
        mine = policy_cursors.c.policy_id == policy_id
        change = update(policy_cursors).where(mine).values(behind=behind)
        self._do(lambda connection: connection.execute(change))

    def agreement(self) -> ClockAgreement | None:
        """See `PolicyStore.agreement`."""
        row = self._do(lambda connection: connection.execute(select(clock_agreement)).first())
        return ClockAgreement(boot_id=row.boot_id, offset_s=row.offset_s) if row else None

    def set_agreement(self, agreement: ClockAgreement | None) -> None:
        """See `PolicyStore.set_agreement`."""

        def work(connection: Connection) -> None:
            connection.execute(delete(clock_agreement))
            if agreement:
                connection.execute(insert(clock_agreement), msgspec.structs.asdict(agreement))

        self._do(work)

    def begin_runs(
        self, runs: Sequence[PolicyRun], policy_id: str = "", slot: float = 0.0
    ) -> list[RunRecord]:
        """See `PolicyStore.begin_runs`."""

        def work(connection: Connection) -> list[RunRecord]:
            begun = []
            for run in runs:
                if connection.execute(_RUN, {"id": run.operation_id}).first() is None:
                    record = RunRecord(run=_numbered(connection, run))
                    # Nobody waits for the news that a run waits.
                    row = {"operation_id": run.operation_id, **_row(record), "confirmed": True}
                    connection.execute(insert(policy_runs), row)
                    begun.append(record)
            if policy_id:
                _move_cursor(connection, policy_id, slot)
            return begun

        return self._do(work)

    def find_run(self, run_id: str) -> RunRecord | None:
        """See `PolicyStore.find_run`."""
        row = self._do(lambda connection: connection.execute(_RUN, {"id": run_id}).first())
        return _record(row) if row else None

    def unfinished_runs(self) -> list[RunRecord]:
        """See `PolicyStore.unfinished_runs`."""
        unfinished = policy_runs.c.phase != Phase.OVER.value
        return self._records(select(policy_runs).where(unfinished))

    def advance_run(
        self, run_id: str, change: RunChange, taken: SnapshotRecord | None = None
    ) -> RunRecord | None:
        """See `PolicyStore.advance_run`."""

        def work(connection: Connection) -> RunRecord | None:
            known, changed = _advance(connection, run_id, change)
            if taken and changed is not known:
                self.put(connection, taken)
            return changed

        return self._do(work)

    def advance_runs(self, run_ids: Sequence[str], change: RunChange) -> list[RunRecord]:
        """See `PolicyStore.advance_runs`."""

        def work(connection: Connection) -> list[RunRecord]:
            changed = (_advance(connection, run_id, change)[1] for run_id in run_ids)
            return [record for record in changed if record]

        return self._do(work)

    def runs_since(self, sequence: int, limit: int) -> list[PolicyRun]:
        """See `PolicyStore.runs_since`."""
        later = select(policy_runs).where(policy_runs.c.sequence > sequence).limit(limit)
        return [record.run for record in self._records(later)]

    def unconfirmed_runs(self, limit: int) -> list[PolicyRun]:
        """See `PolicyStore.unconfirmed_runs`."""
        waiting = select(policy_runs).where(~policy_runs.c.confirmed).limit(limit)
        return [record.run for record in self._records(waiting)]

    def confirm_run(self, run_id: str, sequence: int) -> None:
        """See `PolicyStore.confirm_run`."""
        mine = {"id": run_id, "sent": sequence}
        self._do(lambda connection: connection.execute(_CONFIRM, mine))

    def failures(self) -> dict[tuple[str, str], Failures]:
        """See `PolicyStore.failures`."""
        rows = self._do(lambda connection: connection.execute(select(policy_failures)).all())
        return {
            (row.policy_id, row.uuid): Failures(count=row.failures, code=row.code) for row in rows
        }

    def tidy(self, present: Sequence[tuple[str, str]] | None, now: float, before: float) -> None:
        """See `PolicyStore.tidy`."""

        def work(connection: Connection) -> None:
            over = policy_runs.c.phase == Phase.OVER.value
            old = over & policy_runs.c.confirmed & (policy_runs.c.changed_at < before)
            connection.execute(delete(policy_runs).where(old))
            number = policy_runs.c.sequence
            newest = select(number).where(over).order_by(number.desc()).offset(MOST_RUNS).limit(1)
            too_many = number <= newest.scalar_subquery()
            connection.execute(delete(policy_runs).where(over & too_many))
            if present is not None:
                _forget_failures(connection, {uuid for _, uuid in present})
            self.tidy_snapshots(connection, present, now, before)

        self._do(work)

    def _records(self, query: Select[Any]) -> list[RunRecord]:
        in_order = query.order_by(policy_runs.c.sequence)
        rows = self._do(lambda connection: connection.execute(in_order).all())
        read = [_record(row) for row in rows]
        if lost := [row.operation_id for row, one in zip(rows, read, strict=True) if one is None]:
            self._do(lambda connection: _set_aside(connection, lost))
            for run_id in lost:
                self._omit(Omission.POLICY, run_id, "the run cannot be read")
        return [record for record in read if record]


def _advance(
    connection: Connection, run_id: str, change: RunChange
) -> tuple[RunRecord | None, RunRecord | None]:
    """Change a run; return it as it was, and as it is: the very same if nothing has changed."""
    row = connection.execute(_RUN, {"id": run_id}).first()
    known = _record(row) if row else None
    changed = change(known) if known else None
    if known is None or changed is None or changed == known:
        return known, known
    changed = replace(changed, run=_numbered(connection, changed.run))
    connection.execute(_REPLACE, {"id": run_id, **_row(changed)})
    if known.run.state is not changed.run.state:
        _count_failure(connection, changed.run)
    return known, changed


def _record(row: Row[Any]) -> RunRecord | None:
    run = _decoded(PolicyRun, row.run)
    return RunRecord(run=run, phase=Phase(row.phase), attempt=row.attempt) if run else None


def _decoded(kind: type[T], body: bytes) -> T | None:
    """Return what a row holds; None if it is of a newer release, or damaged."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _set_aside(connection: Connection, run_ids: list[str]) -> None:
    those = policy_runs.c.operation_id.in_(run_ids)
    connection.execute(
        update(policy_runs).where(those).values(confirmed=True, phase=Phase.OVER.value)
    )


def _numbered(connection: Connection, run: PolicyRun) -> PolicyRun:
    return replace(run, sequence=connection.execute(_FOLLOWING).scalar_one())


def _row(record: RunRecord) -> dict[str, object]:
    return {
        "sequence": record.run.sequence,
        "phase": record.phase.value,
        "attempt": record.attempt,
        "confirmed": False,
        "changed_at": time.time(),
        "run": msgspec.json.encode(record.run),
    }


def _move_cursor(connection: Connection, policy_id: str, slot: float) -> None:
    """Do what `cursors.after_slot` does."""
    known = policy_cursors.c
    # SQLite's greatest of nothing and a number is nothing.
    behind = case((known.slot > slot, func.max(known.behind, slot)), else_=None)
    moved = {"slot": func.max(known.slot, slot), "behind": behind}
    connection.execute(update(policy_cursors).where(known.policy_id == policy_id).values(moved))


def _forget_failures(connection: Connection, present: set[str]) -> None:
    """Delete the failures of instances that are gone."""
    uuid = policy_failures.c.uuid
    for gone in set(connection.scalars(select(uuid).distinct())) - present:
        connection.execute(delete(policy_failures).where(uuid == gone))


def _count_failure(connection: Connection, run: PolicyRun) -> None:
    table = policy_failures
    mine = (table.c.policy_id == run.policy_id) & (table.c.uuid == run.uuid)
    if ends_failures(run):
        connection.execute(delete(table).where(mine))
    elif is_failure(run):
        more = update(table).where(mine).values(failures=table.c.failures + 1, code=run.code)
        if not connection.execute(more).rowcount:
            row = {"policy_id": run.policy_id, "uuid": run.uuid, "failures": 1, "code": run.code}
            connection.execute(insert(table), row)
