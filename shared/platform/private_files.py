"""Files that only their owner can read, from the first byte on, and that are never half written."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path


def write(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file atomically; create missing directories above it.

    Readers find the old text or the new one, never a part. On a full disk the old one stays. Raises
    OSError that names the file.
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
            exc.filename = str(file)  # errors of a descriptor have no file name
            raise
