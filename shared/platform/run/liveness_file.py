"""A sign of life of a service that answers no HTTP: a file whose time stays fresh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import eventlet

NAME = "alive"
EVERY_S = 5.0


@contextmanager
def touch_liveness_file(state_dir: Path, every_s: float = EVERY_S) -> Iterator[None]:
    """Keep the file `alive` fresh until left; its time stands still as soon as the service hangs.

    While the file cannot be written it stays old, and the service goes on.
    """
    beat = eventlet.spawn(_beat, state_dir / NAME, every_s)
    try:
        yield
    finally:
        beat.kill()


def _beat(file: Path, every_s: float) -> None:
    while True:
        with suppress(OSError):
            file.touch()
        eventlet.sleep(every_s)
