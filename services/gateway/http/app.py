"""Puts the HTTP and WebSocket side together."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from services.gateway.bilingual import both
from services.gateway.consoles import Console, ConsoleService, LogService
from services.gateway.fleet.view import FleetView
from services.gateway.health import GatewayHealth
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.http import console_page, exception_handlers
from services.gateway.http.api import ROUTERS, system
from services.gateway.http.api.operations import view as operation_view
from services.gateway.http.dependencies import Dependencies
from services.gateway.http.described_security import without_security
from services.gateway.http.docs import DescribedApp
from services.gateway.http.errors import HttpError, language_of, problem_text
from services.gateway.http.instance_list import InstanceList
from services.gateway.http.listener import ConnectionLimit
from services.gateway.http.messages import run_reason
from services.gateway.http.middleware.authentication import (
    CONSOLES,
    AuthenticationMiddleware,
    Authenticator,
)
from services.gateway.http.middleware.body_limit import BodyLimitMiddleware
from services.gateway.http.middleware.cors import CorsMiddleware
from services.gateway.http.middleware.exceptions import ExceptionMiddleware
from services.gateway.http.middleware.forwarded import ForwardedHeadersMiddleware
from services.gateway.http.middleware.methods import HeadMiddleware, OptionsMiddleware
from services.gateway.http.middleware.request_log import RequestLogMiddleware
from services.gateway.http.middleware.security_headers import SecurityHeadersMiddleware
from services.gateway.http.middleware.websocket_limit import WebSocketLimitMiddleware
from services.gateway.http.openapi import DESCRIPTION, TAGS
from services.gateway.http.prefix import Prefix
from services.gateway.http.tickets import Tickets
from services.gateway.http.v1.routers import ROUTERS as V1_ROUTERS
from services.gateway.http.v1.vm_list import Pages
from services.gateway.operations.command import Caller
from services.gateway.operations.service import OperationService
from services.gateway.policies.service import PolicyService
from services.gateway.settings import HttpSettings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.create import CreationService
from services.gateway.vms.snapshots import SnapshotService
from services.gateway.ws.console import ConsoleSocket
from services.gateway.ws.monitor import Monitor
from services.gateway.ws.stream import FleetStream
from services.gateway.ws.topic_registry import TopicLanguage, TopicRegistry


def _now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    fleet: FleetView,
    operations: OperationService,
    creations: CreationService,
    snapshots: SnapshotService,
    policies: PolicyService,
    logs: LogService,
    consoles: ConsoleService,
    hosts: HostPersistence,
    health: GatewayHealth,
    telemetry: Telemetry,
    settings: HttpSettings,
    now: Callable[[], datetime] = _now,
    monotonic: Callable[[], float] = time.monotonic,
) -> DescribedApp:
    """Return the app over the rest of the gateway; it starts nothing of its own."""
    tickets, passwords = Tickets[Caller](monotonic), Tickets[Console](monotonic)
    gate = Authenticator(settings, tickets, passwords)
    app = _bare_app(settings, gate, _websocket_limit(settings, telemetry))
    app.state.context = Dependencies(
        fleet=fleet,
        operations=operations,
        creations=creations,
        snapshots=snapshots,
        policies=policies,
        logs=logs,
        hosts=hosts,
        health=health,
        telemetry=telemetry,
        settings=settings,
        answers=InstanceList(fleet, monotonic, telemetry.boundary),
        pages=Pages(creations.vms, monotonic, telemetry.boundary),
        tickets=tickets,
        passwords=passwords,
        now=now,
    )
    monitor = Monitor(fleet, settings.update_interval_s, now, monotonic, telemetry)
    topics = TopicRegistry(fleet, operations, now, boundary=telemetry.boundary)
    stream = FleetStream(fleet, topics, _words, now, telemetry)
    console = ConsoleSocket(consoles, _words, telemetry)
    _add_routes(app, monitor, stream, console)
    exception_handlers.install(app)
    return app


def _websocket_limit(settings: HttpSettings, telemetry: Telemetry) -> ConnectionLimit:
    return ConnectionLimit(
        settings.max_websockets,
        settings.max_connections_per_address,
        on_refused=lambda _: telemetry.count_refused("websockets"),
    )


def _bare_app(
    settings: HttpSettings, gate: Authenticator, websockets: ConnectionLimit
) -> DescribedApp:
    """Return an app with the middleware only, outermost first."""
    return DescribedApp(
        title=both(system.API_NAME, "LXD Panel API"),
        version=system.API_VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        redirect_slashes=False,
        middleware=[
            Middleware(ForwardedHeadersMiddleware, trusted_proxies=settings.trusted_proxies),
            Middleware(Prefix, root_path=settings.root_path),
            Middleware(SecurityHeadersMiddleware),
            Middleware(RequestLogMiddleware),
            Middleware(HeadMiddleware),
            Middleware(CorsMiddleware, allowed_origins=settings.allowed_origins),
            Middleware(ExceptionMiddleware),
            Middleware(AuthenticationMiddleware, gate=gate),
            Middleware(WebSocketLimitMiddleware, limit=websockets),
            Middleware(BodyLimitMiddleware),
            Middleware(OptionsMiddleware),
        ],
    )


def _add_routes(
    app: DescribedApp, monitor: Monitor, stream: FleetStream, console: ConsoleSocket
) -> None:
    for router in (*ROUTERS, *V1_ROUTERS, console_page.router):
        # Whole already, with their prefix and all: `include_router` would build each of them anew.
        app.router.routes.extend(map(without_security, router.routes))
    app.router.routes.append(WebSocketRoute("/ws/monitor", monitor.serve))
    app.router.routes.append(WebSocketRoute("/ws/stream", stream.serve))
    app.router.default = _not_found
    app.router.routes.append(WebSocketRoute(CONSOLES + "{id}", console.serve))


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer WebSockets as any request: Starlette would close theirs without saying why."""
    raise HttpError("route_not_found", path=scope["path"])


def _words(connection: HTTPConnection) -> TopicLanguage:
    language = language_of(connection)
    return TopicLanguage(
        language,
        translate_error=lambda error: problem_text(error, language),
        render_operation=lambda operation: operation_view(operation, language),
        explain_run=lambda code: run_reason(code, language),
    )
