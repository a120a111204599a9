"""The lock that keeps two workers from one journal, whose operations each would carry out."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def hold_process_lock(state_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; wait, as long as it takes, for a worker that holds it now.

    The kernel releases it when the process ends, however it ends. Waiting blocks the whole process:
    call this before anything else runs in it.
    """
    with (state_dir / "worker.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("standing by for another worker", extra={"state_dir": str(state_dir)})
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
