"""Files that only their owner can read, from their first byte on."""

from __future__ import annotations

import os
from pathlib import Path


def write(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file, and the directories above it where they are missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
