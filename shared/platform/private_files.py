"""Files that only their owner can read, from their first byte on, and never half written."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path


def write(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file, and the directories above it where they are missing.

    Whoever reads it finds the old text or the new one, never a part: where the disk is full the old
    one stays, and OSError is raised, which names the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    with ExitStack() as undo:
        undo.callback(Path(name).unlink, missing_ok=True)
        try:
            with os.fdopen(descriptor, "w") as handle:
                handle.write(text)
                handle.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            Path(name).replace(file)
        except OSError as exc:
            exc.filename = str(file)  # a descriptor's errors name none
            raise
