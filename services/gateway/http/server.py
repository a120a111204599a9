"""The gateway's HTTP server: uvicorn on listeners that count, with connections that are bounded."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import uvicorn
from fastapi import FastAPI

from services.gateway.http.connection import HttpConnection, HttpLimits
from services.gateway.http.listener import ConnectionLimit, Listener
from services.gateway.http.middleware.security_headers import missing_headers
from services.gateway.settings import HttpSettings
from services.gateway.telemetry import Telemetry
from services.gateway.ws.frames import WebSocketProtocol
from shared.platform.settings import Bind

log = logging.getLogger(__name__)

# How long open requests and WebSockets may take to end after a SIGTERM.
GRACE_S = 3
BACKLOG = 2048
# For the database, the broker, files and the listeners themselves.
OWN_DESCRIPTORS = 100
# Bytes; viewers have little to say.
LONGEST_WS_MESSAGE = 65536
# One pass over the open connections, in ticks of uvicorn's, which are a tenth of a second.
TICKS_PER_CHECK = 10


class WebSocketConnection(WebSocketProtocol):
    """A WebSocket whose hand-shake may be refused before the app is asked."""

    refusal_headers: ClassVar[Mapping[str, str]] = {
        name.decode(): value.decode()
        for name, value in missing_headers([], path="/ws", scheme="ws")
    }


def websocket_connection(limits: HttpLimits) -> type[asyncio.Protocol]:
    """Return what uvicorn calls for a WebSocket."""
    return partial(WebSocketConnection, send_s=limits.send_s)  # type: ignore[return-value]


class GatewayServer(uvicorn.Server):
    """Serves until `should_exit`; the signals are left to the process, which has more to end.

    uvicorn's own handlers would end it before it is put in order.
    """

    def __init__(self, config: uvicorn.Config, limit: ConnectionLimit, limits: HttpLimits) -> None:
        super().__init__(config)
        self._limit = limit
        self._limits = limits

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to whoever started us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a bound on the time that a TLS hand-shake may take."""
        await super().startup(sockets=[])
        protocol = partial(
            HttpConnection,
            self._limits,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        tls = self.config.ssl
        for listening in sockets or []:
            server = await asyncio.get_running_loop().create_server(
                protocol,
                sock=listening,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self._limits.receive_s if tls else None,
                ssl_shutdown_timeout=GRACE_S if tls else None,
            )
            self.servers.append(server)

    async def on_tick(self, counter: int) -> bool:
        """Look at every connection once a second."""
        if counter % TICKS_PER_CHECK == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                connection.check(now)  # type: ignore[union-attr] # all are ours
            self._limit.log_refused()
        return await super().on_tick(counter)


def limits(settings: HttpSettings) -> HttpLimits:
    """Return what one connection may ask for."""
    return HttpLimits(
        receive_s=settings.client_timeout_s,
        send_s=settings.client_timeout_s,
        root_path=settings.root_path,
    )


def config(app: FastAPI, settings: HttpSettings, limits: HttpLimits) -> uvicorn.Config:
    """Return what uvicorn is told."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        # uvicorn would believe whoever is on this machine; see `forwarded`.
        proxy_headers=False,
        ws=websocket_connection(limits),
        # One compression per client costs more than all the rest of a live update.
        ws_per_message_deflate=False,
        ws_max_size=LONGEST_WS_MESSAGE,
        timeout_keep_alive=int(limits.idle_s),
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )


def listen(settings: HttpSettings, limit: ConnectionLimit) -> list[socket.socket]:
    """Return a listening socket for each address; raise OSError that names a wrong one."""
    tls = bool(settings.tls_cert)
    return [Listener(_listen(bind), limit, tls=tls) for bind in settings.binds]


def _listen(bind: Bind) -> socket.socket:
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


def connection_limit(settings: HttpSettings, telemetry: Telemetry) -> ConnectionLimit:
    """Return the bound on connections: the settings', or fewer where descriptors are short."""
    most = min(settings.max_connections, _descriptors(settings.max_connections + OWN_DESCRIPTORS))
    return ConnectionLimit(
        most,
        settings.max_connections_per_address,
        settings.trusted_proxies,
        telemetry.count_refused,
    )


def _descriptors(wanted: int) -> int:
    """Allow this process as many descriptors; return how many connections that is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("too few descriptors", extra={"wanted": wanted, "allowed": soft})
    return max(1, soft - OWN_DESCRIPTORS)
