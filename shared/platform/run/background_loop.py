"""Background loops of a service, each in a greenthread of its own.

A service without an HTTP API shows by one that it is alive: it keeps a file's time fresh.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import eventlet

from shared.contracts.errors import TemporaryError
from shared.platform.run.backoff import Backoff, bug_backoff

log = logging.getLogger(__name__)

# The longest pause after temporary errors. Tasks wait for what they need themselves; this only
# keeps them from spinning if they do not.
SOON_S = 0.5

LIVENESS_FILE = "alive"
TOUCH_S = 5.0


def run_forever(task: Callable[[], None], pause_s: float) -> None:
    """Run a task again and again, with a pause after each time; no error ends this.

    While it fails the pauses grow: up to half a second after temporary errors, else up to 30 s.
    """
    soon, later = Backoff(first_s=0.02, most_s=SOON_S), bug_backoff(pause_s)
    while True:
        wait_s = pause_s
        try:
            task()
        except TemporaryError as exc:
            log.debug("task postponed", extra={"task": task.__name__, "reason": str(exc)})
            wait_s = max(pause_s, soon.next_s())
        except Exception:
            log.exception("task failed", extra={"task": task.__name__})
            wait_s = max(pause_s, later.next_s())
        else:
            soon.reset()
            later.reset()
        eventlet.sleep(wait_s)


@contextmanager
def touch_liveness_file(state_dir: Path, every_s: float = TOUCH_S) -> Iterator[None]:
    """Keep the time of the file `alive` fresh until left; it stops as soon as the service hangs.

    If the file cannot be written its time stays old, and the service goes on.
    """

    def touch() -> None:
        with suppress(OSError):
            (state_dir / LIVENESS_FILE).touch()

    touching = eventlet.spawn(run_forever, touch, every_s)
    try:
        yield
    finally:
        touching.kill()
