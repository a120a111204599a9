"""What a service does again and again beside its calls, each in a greenthread of its own.

One that answers no HTTP gives a sign of life by it: a file whose time stays fresh.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import eventlet

from shared.contracts.errors import TemporaryError
from shared.platform.run.backoff import Backoff, after_a_bug

log = logging.getLogger(__name__)


# After a failure that passes the duty itself waits for what it wants; this only keeps it from
# spinning where it does not.
SOON_S = 0.5

LIVENESS_FILE = "alive"
TOUCH_S = 5.0


def run_forever(duty: Callable[[], None], pause_s: float) -> None:
    """Do it again and again, with a pause after each time; no failure ends this.

    While it fails the pauses grow: up to half a second where that passes, else up to 30.
    """
    soon, later = Backoff(first_s=0.02, most_s=SOON_S), after_a_bug(pause_s)
    while True:
        wait_s = pause_s
        try:
            duty()
        except TemporaryError as exc:
            log.debug("duty put off", extra={"duty": duty.__name__, "reason": str(exc)})
            wait_s = max(pause_s, soon.next_s())
        except Exception:
            log.exception("duty broke", extra={"duty": duty.__name__})
            wait_s = max(pause_s, later.next_s())
        else:
            soon.reset()
            later.reset()
        eventlet.sleep(wait_s)


@contextmanager
def touch_liveness_file(state_dir: Path, every_s: float = TOUCH_S) -> Iterator[None]:
    """Keep the file `alive` fresh until left; its time stands still as soon as the service hangs.

    While the file cannot be written it stays old, and the service goes on.
    """

    def touch() -> None:
        with suppress(OSError):
            (state_dir / LIVENESS_FILE).touch()

    touching = eventlet.spawn(run_forever, touch, every_s)
    try:
        yield
    finally:
        touching.kill()
