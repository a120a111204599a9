"""A producer's epoch: a number that grows with every start, stored in a file.

It is the Unix time of the start, or the last epoch plus one if the clock went back. So it grows
even if the file was lost with the machine's disk, and readers still accept the producer's events.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from shared.platform import private_files

log = logging.getLogger(__name__)

# Two digits fewer than the largest number in a message, so that there are always larger ones.
_EPOCH = re.compile(rb"[0-9]{1,17}")


def next_epoch(file: Path, clock: Callable[[], float] = time.time) -> int:
    """Store an epoch above the last one durably, and return it.

    A file without an epoch, for example after a power failure, counts as missing.
    """
    epoch = max(_last_epoch(file) + 1, int(clock()))
    private_files.write(file, str(epoch))
    return epoch


def _last_epoch(file: Path) -> int:
    """Return the last epoch; 0 if there is none that a message can hold."""
    if not file.exists():
        return 0
    match = _EPOCH.fullmatch(file.read_bytes().strip())
    if match is None:
        log.warning("epoch file cannot be read", extra={"file": str(file)})
        return 0
    return int(match[0])
