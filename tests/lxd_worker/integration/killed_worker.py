"""A worker that dies by SIGKILL at one write of its journal: `killed_worker.py before|after N`.

Counted are the writes that take an operation on or change it. `confirming N` is the moment between
the broker's confirmation of a report and the journal's note of it. Run, never imported.
"""
# ruff: noqa: E402, the other imports must find a green standard library

from __future__ import annotations

from shared.platform.run.eventlet_patch import patch

patch()

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from services.lxd_worker.__main__ import main
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.protocol import Acceptance, Change
from services.lxd_worker.wiring import open_journal

T = TypeVar("T")


class DeadlyJournal:
    """The real journal, but for one write."""

    def __init__(self, journal: Any, when: str, write: int) -> None:
        self._journal = journal
        self._when = when
        self._left = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def accept(self, entry: JournalEntry, host: str, limit: int) -> Acceptance:
        return self._write(lambda: self._journal.accept(entry, host, limit))

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        known = self._journal.find(operation_id)
        if change(known) == known:
            return known
        return self._write(lambda: self._journal.advance(operation_id, change))

    def confirm(self, operation_id: str, sequence: int) -> None:
        if self._when == "confirming":
            self._left -= 1
            if self._left == 0:
                _die()
        self._journal.confirm(operation_id, sequence)

    def _write(self, write: Callable[[], T]) -> T:
        if self._when == "confirming":
            return write()
        self._left -= 1
        if self._left == 0 and self._when == "before":
            _die()
        written = write()
        if self._left == 0:
            _die()
        return written


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


when, number = sys.argv[1:]
main(lambda settings, omit: DeadlyJournal(open_journal(settings, omit), when, int(number)))
