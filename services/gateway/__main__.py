"""Starts the gateway: settings from the environment, one server on all addresses, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from services.gateway import wiring
from services.gateway.domain.clock import Clock
from services.gateway.http import create_app
from services.gateway.service import running
from services.gateway.settings import HttpSettings, Settings
from services.gateway.ws.frames import Frames
from shared.contracts.errors import DatabaseUnavailable
from shared.platform import logs
from shared.platform.settings import Bind, settings_or_exit

log = logging.getLogger(__name__)

# How long open requests and WebSockets may take to end after a SIGTERM.
GRACE_S = 3
BACKLOG = 2048
# Bytes; viewers have little to say.
LONGEST_WS_MESSAGE = 65536


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: those end the process before it is put in order."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to `serve`."""
        yield


def main() -> None:
    """Run the gateway; exit with 2 for wrong settings, 1 when it cannot start."""
    settings = settings_or_exit(Settings.from_env)
    logs.set_up("gateway", settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (DatabaseUnavailable, OSError) as exc:
        sys.stderr.write(f"the gateway cannot start: {exc}\n")
        sys.exit(1)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    clock = Clock(monotonic=time.monotonic, wall=time.time)
    sockets = [_listen(bind) for bind in settings.http.binds]
    parts = wiring.build(settings, clock)
    app = create_app(
        fleet=parts.fleet,
        operations=parts.operations,
        creations=parts.creations,
        snapshots=parts.snapshots,
        consoles=parts.consoles,
        hosts=parts.hosts,
        health=parts.health,
        telemetry=parts.telemetry,
        settings=settings.http,
    )
    server = Server(_config(app, settings.http))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, server)
    async with running(parts, settings, clock):
        log.info("listening", extra={"addresses": [f"{a}:{p}" for a, p in settings.http.binds]})
        await server.serve(sockets=sockets)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


def _config(app: FastAPI, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        # uvicorn would believe whoever is on this machine; see `http.forwarded`.
        proxy_headers=False,
        ws=Frames,
        # One compression per client costs more than all the rest of a live update.
        ws_per_message_deflate=False,
        ws_max_size=LONGEST_WS_MESSAGE,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )


def _listen(bind: Bind) -> socket.socket:
    """Return a listening socket; raise OSError that names the address."""
    address, port = bind
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise OSError(exc.errno, f"{exc.strerror}: {address}:{port}") from exc
    # Its connections inherit this: without it an answer's body waits 40 ms for the client's
    # delayed acknowledgement of the head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


if __name__ == "__main__":
    main()
