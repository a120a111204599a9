"""What a service does again and again beside its calls, each in a greenthread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import eventlet

from shared.contracts.errors import TemporaryError

log = logging.getLogger(__name__)


def for_ever(duty: Callable[[], None], pause_s: float) -> None:
    """Do it again and again, with a pause after each time; no failure ends this."""
    while True:
        try:
            duty()
        except TemporaryError as exc:
            log.debug("duty put off", extra={"duty": duty.__name__, "reason": str(exc)})
        except Exception:
            log.exception("duty broke", extra={"duty": duty.__name__})
        eventlet.sleep(pause_s)
