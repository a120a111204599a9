"""A producer's epoch: a number that grows at every start, kept in a file to outlive the process.

It is the Unix time of the start, or one more than the last where the clock went back. So it grows
even when the file was lost with the machine's disk, and readers go on believing the producer.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from shared.platform import private_files

log = logging.getLogger(__name__)

# Two digits below the largest number of a message, so that there are always some above it.
_EPOCH = re.compile(rb"[0-9]{1,17}")


def next_epoch(file: Path, clock: Callable[[], float] = time.time) -> int:
    """Return an epoch above the stored one, and store it durably before anyone can see it.

    A file that holds no epoch, after a power failure for one, is as good as a lost one.
    """
    epoch = max(_stored(file) + 1, int(clock()))
    private_files.write(file, str(epoch))
    return epoch


def _stored(file: Path) -> int:
    """Return the last epoch, 0 where there is none that a message can hold."""
    if not file.exists():
        return 0
    stored = _EPOCH.fullmatch(file.read_bytes().strip())
    if stored is None:
        log.warning("epoch file cannot be read", extra={"file": str(file)})
        return 0
    return int(stored[0])
