"""One worker for one journal: two would each think that the other's operations were its own."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def only_worker(state_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; wait, as long as it takes, for a worker that holds it now.

    The kernel lets go of it when the process ends, however it ends. Waiting blocks the whole
    process: call this before anything else runs in it.
    """
    with (state_dir / "worker.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("standing by for another worker", extra={"state_dir": str(state_dir)})
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
