"""Serve metrics to Prometheus in a greenthread, for services without an HTTP API.

There is no authentication, as metrics contain no secrets. Off unless `FLEET_METRICS_BIND` is set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import eventlet
from eventlet import wsgi
from eventlet.green import socket
from prometheus_client import CollectorRegistry, make_wsgi_app

from shared.platform.settings import Bind

# Until a silent connection is closed.
SOCKET_TIMEOUT_S = 10.0


def listener_or_exit(bind: Bind | None) -> Any:
    """Return a listening socket, None without an address; if it is in use, print so and exit."""
    if bind is None:
        return None
    family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
    try:
        return eventlet.listen(bind, family)
    except OSError as exc:
        address, port = bind
        sys.stderr.write(f"FLEET_METRICS_BIND: {address}:{port}: {exc.strerror}\n")
        sys.exit(1)


@contextmanager
def serve_metrics(listener: Any, registry: CollectorRegistry) -> Iterator[None]:
    """Serve the registry's metrics on every path until left."""
    if listener is None:
        yield
        return
    server = eventlet.spawn(
        wsgi.server,
        listener,
        make_wsgi_app(registry),
        log_output=False,
        socket_timeout=SOCKET_TIMEOUT_S,
        debug=False,
    )
    try:
        yield
    finally:
        server.kill()
        listener.close()
