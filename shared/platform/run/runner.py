"""Run one nameko service as this process, from the first connection to a clean end.

Not `nameko run`: it needs pkg_resources, and its services die if the broker is away at their start.
"""

from __future__ import annotations

import logging
import signal
from typing import Any

import eventlet
from amqp.exceptions import AMQPError
from eventlet.event import Event
from kombu import Connection
from nameko.constants import AMQP_URI_CONFIG_KEY, HEARTBEAT_CONFIG_KEY, MAX_WORKERS_CONFIG_KEY
from nameko.runners import ServiceRunner

from shared.platform.run.backoff import reconnect_backoff

_log = logging.getLogger(__name__)

HEARTBEAT_S = 10
GRACE_S = 15.0


def serve(service: type, amqp_uri: str, *, max_workers: int = 200) -> None:
    """Serve until SIGTERM or SIGINT; then give running calls `GRACE_S` seconds to end.

    Waits for the broker first. `max_workers` is also the prefetch: further calls wait.
    """
    stop_requested = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.ready() or stop_requested.send())
    if not _broker_answers(amqp_uri, stop_requested):
        return
    runner = ServiceRunner(
        {
            AMQP_URI_CONFIG_KEY: amqp_uri,
            HEARTBEAT_CONFIG_KEY: HEARTBEAT_S,
            MAX_WORKERS_CONFIG_KEY: max_workers,
        }
    )
    runner.add_service(service)
    starting = eventlet.spawn(runner.start)
    ended = eventlet.spawn(_wait_for_end, runner, starting)
    ended.link(lambda _: stop_requested.ready() or stop_requested.send())
    stop_requested.wait()
    if ended.dead:
        ended.wait()
    _stop(runner, starting)


def _broker_answers(amqp_uri: str, stop_requested: Event) -> bool:
    logged, backoff = False, reconnect_backoff()
    while not stop_requested.ready():
        try:
            with Connection(amqp_uri, connect_timeout=2) as connection:
                connection.connect()
        except (OSError, AMQPError) as exc:
            if not logged:
                _log.warning("waiting for the broker", extra={"reason": str(exc)})
            logged = True
            eventlet.sleep(backoff.next_s())
        else:
            return True
    return False


def _wait_for_end(runner: Any, starting: Any) -> None:
    starting.wait()
    runner.wait()


def _stop(runner: Any, starting: Any) -> None:
    try:
        with eventlet.Timeout(GRACE_S):
            runner.stop()
    except eventlet.Timeout:
        _log.warning("calls did not end in time", extra={"grace_s": GRACE_S})
        with eventlet.Timeout(GRACE_S, exception=False):
            runner.kill()
    starting.kill()
