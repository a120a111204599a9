"""A worker that dies by SIGKILL at one transaction of its database: `killed_policies.py N`.

Counted are those from the moment at which runs of a policy are recorded; an odd number dies before
the transaction, an even one after it. Run, never imported.
"""
# ruff: noqa: E402, the other imports must find a green standard library

from __future__ import annotations

from shared.platform.run.eventlet_patch import patch

patch()

import os
import signal
import sys
from typing import Any

from services.lxd_worker.__main__ import main
from services.lxd_worker.journal.database import JournalDatabase
from services.lxd_worker.policies.store import SqlPolicyStore

transaction, begin_runs = JournalDatabase.transaction, SqlPolicyStore.begin_runs
left = [0]


def begun(store: SqlPolicyStore, *arguments: Any) -> Any:
    left[0] = (int(sys.argv[1]) + 1) // 2
    return begin_runs(store, *arguments)


def deadly(database: JournalDatabase, *arguments: Any) -> Any:
    left[0] -= 1
    is_last = left[0] == 0
    if is_last and int(sys.argv[1]) % 2:
        _die()
    result = transaction(database, *arguments)
    if is_last:
        _die()
    return result


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


JournalDatabase.transaction = deadly
SqlPolicyStore.begin_runs = begun
main()
