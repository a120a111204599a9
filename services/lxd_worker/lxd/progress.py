"""How far LXD is with an operation, in the worker's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.lxd_worker.protocols import LxdOperation
from shared.lxd.models import LxdTask

_DOWNLOAD = re.compile(r"\w+: (\d{1,3})%")
_PERCENT = re.compile(r"\d{1,9}")
# As far as anybody can know, the download of an image takes as long as unpacking it.
_DOWNLOADED = 50


def progress_of(task: LxdTask) -> LxdOperation:
    """Return how far LXD is with an operation."""
    percent = progress_percent(task.metadata or {})
    return LxdOperation(running=task.running, error=task.error, progress=percent)


def progress_percent(metadata: Mapping[str, object]) -> int | None:
    """Return how far LXD is with a new instance; None if the metadata do not say.

    LXD reports the download alone, then the unpacking alone, and still lists the former then.
    """
    unpacked = _unpacked_percent(metadata.get("progress"))
    downloaded = _DOWNLOAD.match(str(metadata.get("download_progress", "")))
    if downloaded is None:
        return unpacked
    if unpacked is None:
        return min(100, int(downloaded[1])) * _DOWNLOADED // 100
    return _DOWNLOADED + unpacked * (100 - _DOWNLOADED) // 100


def _unpacked_percent(progress: object) -> int | None:
    text = str(progress.get("percent", "")) if isinstance(progress, dict) else ""
    return min(100, int(text)) if _PERCENT.fullmatch(text) else None
