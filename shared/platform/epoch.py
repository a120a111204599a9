"""A producer's epoch: a number that grows at every start, kept in a file to outlive the process.

It is the Unix time of the start, or one more than the last where the clock went back. So it grows
even when the file was lost with the machine's disk, and readers go on believing the producer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def next_epoch(file: Path, clock: Callable[[], float] = time.time) -> int:
    """Return an epoch above the stored one, and store it durably before anyone can see it.

    Raises ValueError when the file holds no number: guessing would let an old producer pass for
    new.
    """
    last = int(file.read_text()) if file.exists() else 0
    epoch = max(last + 1, int(clock()))
    fresh = file.with_suffix(".new")
    with fresh.open("w") as handle:
        handle.write(str(epoch))
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(file)
    return epoch
