"""Keeping an operation going until it has ended, whatever is away meanwhile.

There is one way through for an operation that was just accepted and for one found in the journal
after a crash: read the journal, settle what was begun, go on. So an LXD or a journal that is away
for a while is survived just like a death of this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.record import RunnerContext
from services.lxd_worker.operations.runner import OperationRunner
from shared.contracts.errors import DatabaseUnavailable, TemporaryError
from shared.contracts.operations import Operation
from shared.platform.logs import correlation_id
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

RETRY_S = 1.0
MOST_RETRY_S = 1.5


def carry_out(entry: JournalEntry, tools: RunnerContext) -> Operation:
    """Return the operation when it has ended."""
    correlation_id.set(entry.operation.correlation_id)
    run = OperationRunner(tools, entry)
    try:
        _insist(run, run.drive)
    except Exception:
        # Not ending it would lock the instance for ever.
        log.exception("operation broke", extra={"operation": entry.operation.operation_id})
        _insist(run, run.give_up)
    finally:
        tools.secrets.pop(entry.operation.operation_id, None)
    return run.operation


def follower(ended: Operation, tools: RunnerContext) -> JournalEntry | None:
    """Return the next of those that have waited for the end of an operation."""
    backoff = Backoff(RETRY_S, MOST_RETRY_S)
    while True:
        try:
            return tools.journal.follower(ended)
        except DatabaseUnavailable:
            tools.clock.sleep(backoff.next_s())


def _insist(run: OperationRunner, work: Callable[[], None]) -> None:
    backoff = Backoff(RETRY_S, MOST_RETRY_S)
    while True:
        try:
            work()
        except TemporaryError as exc:
            waits = {"operation": run.operation.operation_id, "error": str(exc)}
            log.warning("operation waits", extra=waits)
            run.tools.clock.sleep(backoff.next_s())
        else:
            return
