"""Puts the HTTP and WebSocket side together."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from services.gateway.http import console_page, failures
from services.gateway.http.answers import Answers
from services.gateway.http.bodies import Bodies
from services.gateway.http.context import Context
from services.gateway.http.cors import Cors
from services.gateway.http.docs import DescribedApp
from services.gateway.http.errors import HttpError, problem_text, tongue_of
from services.gateway.http.faults import Faults
from services.gateway.http.forwarded import ForwardedHeaders
from services.gateway.http.gate import CONSOLES, Gate, GateKeeper
from services.gateway.http.listener import ConnectionLimit
from services.gateway.http.methods import Heads, Options
from services.gateway.http.openapi import DESCRIPTION, TAGS
from services.gateway.http.prefix import Prefix
from services.gateway.http.request_log import RequestLog
from services.gateway.http.routes import ROUTERS, system
from services.gateway.http.routes.operations import view as operation_view
from services.gateway.http.security_headers import SecurityHeaders
from services.gateway.http.tickets import Tickets
from services.gateway.http.v1.pages import Pages
from services.gateway.http.v1.routers import ROUTERS as V1_ROUTERS
from services.gateway.http.websocket_limit import WebSocketLimit
from services.gateway.ports import (
    Caller,
    Console,
    Consoles,
    Creations,
    Fleet,
    Health,
    Hosts,
    Logs,
    Operations,
    Snapshots,
    Telemetry,
)
from services.gateway.settings import HttpSettings
from services.gateway.ws.console import ConsoleSocket
from services.gateway.ws.monitor import Monitor
from services.gateway.ws.stream import Stream
from services.gateway.ws.topics import Topics, Words


def _now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    fleet: Fleet,
    operations: Operations,
    creations: Creations,
    snapshots: Snapshots,
    logs: Logs,
    consoles: Consoles,
    hosts: Hosts,
    health: Health,
    telemetry: Telemetry,
    settings: HttpSettings,
    now: Callable[[], datetime] = _now,
    monotonic: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Return the app over the rest of the gateway; it starts nothing of its own."""
    tickets, passwords = Tickets[Caller](monotonic), Tickets[Console](monotonic)
    gate = Gate(settings, tickets, passwords)
    app = _bare_app(settings, gate, _websocket_limit(settings, telemetry))
    app.state.context = Context(
        fleet=fleet,
        operations=operations,
        creations=creations,
        snapshots=snapshots,
        logs=logs,
        hosts=hosts,
        health=health,
        telemetry=telemetry,
        settings=settings,
        answers=Answers(fleet, monotonic, telemetry.boundary),
        pages=Pages(creations.vms, monotonic, telemetry.boundary),
        tickets=tickets,
        passwords=passwords,
        now=now,
    )
    monitor = Monitor(fleet, settings.update_interval_s, now, monotonic, telemetry)
    topics = Topics(fleet, operations, now, boundary=telemetry.boundary)
    stream = Stream(fleet, topics, _words, now, telemetry)
    console = ConsoleSocket(consoles, _words, telemetry)
    _add_routes(app, monitor, stream, console)
    failures.install(app)
    return app


def _websocket_limit(settings: HttpSettings, telemetry: Telemetry) -> ConnectionLimit:
    return ConnectionLimit(
        settings.max_websockets,
        settings.max_connections_per_address,
        on_refused=lambda _: telemetry.refused("websockets"),
    )


def _bare_app(settings: HttpSettings, gate: Gate, websockets: ConnectionLimit) -> FastAPI:
    """Return an app with the middleware only, outermost first."""
    return DescribedApp(
        title=system.API_NAME,
        version=system.API_VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        redirect_slashes=False,
        middleware=[
            Middleware(ForwardedHeaders, trusted_proxies=settings.trusted_proxies),
            Middleware(Prefix, root_path=settings.root_path),
            Middleware(SecurityHeaders),
            Middleware(RequestLog),
            Middleware(Heads),
            Middleware(Cors, allowed_origins=settings.allowed_origins),
            Middleware(Faults),
            Middleware(GateKeeper, gate=gate),
            Middleware(WebSocketLimit, limit=websockets),
            Middleware(Bodies),
            Middleware(Options),
        ],
    )


def _add_routes(app: FastAPI, monitor: Monitor, stream: Stream, console: ConsoleSocket) -> None:
    for router in (*ROUTERS, *V1_ROUTERS, console_page.router):
        # Whole already, with their prefix and all: `include_router` would build each of them anew.
        app.router.routes.extend(router.routes)
    app.router.routes.append(WebSocketRoute("/ws/monitor", monitor.serve))
    app.router.routes.append(WebSocketRoute("/ws/stream", stream.serve))
    app.router.default = _not_found
    app.router.routes.append(WebSocketRoute(CONSOLES + "{id}", console.serve))


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer WebSockets as any request: Starlette would close theirs without saying why."""
    raise HttpError("route_not_found", path=scope["path"])


def _words(connection: HTTPConnection) -> Words:
    tongue = tongue_of(connection)
    return Words(
        tongue,
        problem=lambda error: problem_text(error, tongue),
        operation=lambda operation: operation_view(operation, tongue),
    )
