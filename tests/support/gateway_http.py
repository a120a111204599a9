"""The gateway's app over fakes, and clients for it."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import uvicorn
from fastapi import FastAPI

from services.gateway.bilingual import Language
from services.gateway.consoles import ConsoleService, LogService
from services.gateway.fleet.view import FleetView
from services.gateway.health import GatewayHealth
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.http import create_app
from services.gateway.http.connection import HttpLimits
from services.gateway.http.docs import DescribedApp
from services.gateway.http.listener import ConnectionLimit, Listener
from services.gateway.http.server import GatewayServer, websocket_connection
from services.gateway.policies.service import PolicyService
from services.gateway.settings import MOST_CONNECTIONS, HttpSettings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.create import CreationService
from services.gateway.vms.snapshots import SnapshotService
from services.gateway.vms.templates import Template
from shared.contracts.policy_api import SnapshotsClient
from shared.contracts.worker_api import WorkerClient
from tests.support.central import FakeCentre, FakeRunKeys
from tests.support.clock import FakeClock
from tests.support.consoles import FakeConsoles
from tests.support.gateway import (
    FakeFleet,
    FakeHealth,
    FakeHosts,
    FakeLogs,
    FakeOperations,
    FakeSnapshots,
)
from tests.support.workers import FakeWorkers

LOOPBACK = HttpSettings(
    binds=(("127.0.0.1", 8000),), token=None, allowed_origins=(), open_networks=()
)


@dataclass
class FakeGateway:
    """The rest of the gateway, faked, and the app over it."""

    settings: HttpSettings = LOOPBACK
    fleet: FakeFleet = field(default_factory=FakeFleet)
    operations: FakeOperations = field(default_factory=FakeOperations)
    templates: list[Template] = field(default_factory=list)
    snapshots: FakeSnapshots = field(default_factory=FakeSnapshots)
    centre: FakeCentre = field(default_factory=FakeCentre)
    workers: FakeWorkers = field(default_factory=FakeWorkers)
    run_keys: FakeRunKeys = field(default_factory=FakeRunKeys)
    logs: FakeLogs = field(default_factory=FakeLogs)
    consoles: FakeConsoles = field(default_factory=FakeConsoles)
    hosts: FakeHosts = field(default_factory=FakeHosts)
    health: FakeHealth = field(default_factory=FakeHealth)
    monotonic: Callable[[], float] = field(default_factory=lambda: FakeClock().monotonic)

    def app(self) -> DescribedApp:
        """Return a new app."""
        fleet = cast("FleetView", self.fleet)
        pending = self.operations.pending
        return create_app(
            fleet=fleet,
            operations=self.operations,
            creations=CreationService(fleet, self.operations, pending, self.templates),
            snapshots=cast("SnapshotService", self.snapshots),
            policies=PolicyService(
                fleet, SnapshotsClient(self.centre), WorkerClient(self.workers), self.run_keys
            ),
            logs=cast("LogService", self.logs),
            consoles=cast("ConsoleService", self.consoles),
            hosts=cast("HostPersistence", self.hosts),
            health=cast("GatewayHealth", self.health),
            telemetry=Telemetry(fleet),
            settings=self.settings,
            monotonic=self.monotonic,
        )

    def client(self, peer: str = "127.0.0.1", **options: Any) -> httpx.AsyncClient:
        """Return a client of a new app that calls from the peer's address."""
        options.setdefault("base_url", "http://localhost:8000")
        transport = httpx.ASGITransport(self.app(), client=(peer, 40000))
        return httpx.AsyncClient(transport=transport, **options)


@functools.cache
def openapi(language: Language = "zh") -> dict[str, Any]:
    """Return the description of an app, to be left as it is: it takes a second to make."""
    return FakeGateway().app().openapi(language)


LIMITS = HttpLimits()


class _Server(GatewayServer):
    """Tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config, limit: ConnectionLimit) -> None:
        super().__init__(config, limit, LIMITS)
        self.begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()


@asynccontextmanager
async def listening(app: FastAPI, **options: Any) -> AsyncIterator[int]:
    """Serve the app with uvicorn on a loopback port of its own; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # As the gateway's own listeners have it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            proxy_headers=False,
            ws=websocket_connection(LIMITS),
            **options,
        )
        limit = ConnectionLimit(MOST_CONNECTIONS, MOST_CONNECTIONS)
        server = _Server(config, limit)
        serving = asyncio.create_task(server.serve(sockets=[Listener(listener, limit, tls=False)]))
        await server.begun.wait()
        try:
            yield port
        finally:
            server.should_exit = True
            await serving
