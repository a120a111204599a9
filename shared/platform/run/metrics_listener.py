"""The small HTTP server of a service that has none: answers Prometheus, in a greenthread.

It knows no token and tells no secret; it is off unless `FLEET_METRICS_BIND` names an address.
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

# A peer that says nothing for so long is let go.
PATIENCE_S = 10.0


def listener_or_exit(bind: Bind | None) -> Any:
    """Return a listening socket, None without an address; exit with 1 and a line if it is taken."""
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
def answering(listener: Any, registry: CollectorRegistry) -> Iterator[None]:
    """Answer with the registry's metrics, on any path, until left."""
    if listener is None:
        yield
        return
    server = eventlet.spawn(
        wsgi.server,
        listener,
        make_wsgi_app(registry),
        log_output=False,
        socket_timeout=PATIENCE_S,
        debug=False,
    )
    try:
        yield
    finally:
        server.kill()
        listener.close()
