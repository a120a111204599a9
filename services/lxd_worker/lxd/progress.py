"""How far LXD is with an operation, a new instance in percent of all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.lxd_worker.ports import LxdOperation
from shared.lxd.models import LxdTask

_DOWNLOAD = re.compile(r"\w+: (\d{1,3})%")
# An image that has to be fetched takes as long as its unpacking, as far as anybody knows.
_FETCHED = 50
_PERCENT = re.compile(r"\d{1,9}")


def progress_of(task: LxdTask) -> LxdOperation:
    """Return how far an operation is, in the worker's words."""
    done = percent(task.metadata or {})
    return LxdOperation(running=task.running, error=task.error, progress=done)


def percent(metadata: Mapping[str, object]) -> int | None:
    """Return what an operation's metadata say; None where they say nothing of the kind.

    LXD speaks of the download alone, then of the unpacking alone, and forgets nothing meanwhile.
    """
    unpacked = _unpacked(metadata.get("progress"))
    fetched = _DOWNLOAD.match(str(metadata.get("download_progress", "")))
    if fetched is None:
        return unpacked
    if unpacked is None:
        return min(100, int(fetched[1])) * _FETCHED // 100
    return _FETCHED + unpacked * (100 - _FETCHED) // 100


def _unpacked(progress: object) -> int | None:
    text = str(progress.get("percent", "")) if isinstance(progress, dict) else ""
    return min(100, int(text)) if _PERCENT.fullmatch(text) else None
