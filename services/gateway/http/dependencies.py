"""What the routes work with, and the parameters that many of them share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from pydantic import Field
from starlette.requests import HTTPConnection
from starlette.responses import Response

from services.gateway.bilingual import both
from services.gateway.consoles import Console, LogService
from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.free_text import ONE_LINE
from services.gateway.health import GatewayHealth
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.http.free_text import (
    FreeText,
    HeaderWithoutControls,
    WithoutControls,
)
from services.gateway.http.instance_list import InstanceList
from services.gateway.http.tickets import Tickets
from services.gateway.http.v1.vm_list import Pages
from services.gateway.operations.command import Caller
from services.gateway.operations.service import OperationService
from services.gateway.policies.service import PolicyService
from services.gateway.settings import HttpSettings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.create import CreationService
from services.gateway.vms.fleet_with_pending import FleetWithPending
from services.gateway.vms.snapshots import SnapshotService
from shared.contracts.errors import InvalidInput

VERSION_WAIT_S = 0.5
VERSION_HEADER = "X-Fleet-Version"

Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}:[0-9]{1,18}$"), HeaderWithoutControls]

INSTANCE_NAME = r"^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
_INSTANCE_NAME = re.compile(INSTANCE_NAME)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The rest of the gateway, as the routes see it; `now` is the time in UTC."""

    fleet: FleetView
    operations: OperationService
    creations: CreationService
    snapshots: SnapshotService
    policies: PolicyService
    logs: LogService
    hosts: HostPersistence
    health: GatewayHealth
    telemetry: Telemetry
    settings: HttpSettings
    answers: InstanceList
    tickets: Tickets[Caller]
    passwords: Tickets[Console]
    pages: Pages
    now: Callable[[], datetime]

    @property
    def boundary(self) -> ErrorBoundary:
        """What renders entries one by one."""
        return self.telemetry.boundary

    @property
    def vms(self) -> FleetWithPending:
        """The fleet view with the instances that are being created."""
        return self.creations.vms

    async def prepare_searches(self) -> None:
        """Prepare the searches of both APIs once the fleet view is ready."""
        ready = asyncio.Event()
        unsubscribe = self.fleet.watch(lambda _: ready.set())
        while not self.fleet.ready:
            ready.clear()
            await ready.wait()
        unsubscribe()
        await self.answers.prepare_search()
        await self.pages.prepare_search()


async def context_of(request: Request) -> Dependencies:
    """Return what `create_app` put into the app."""
    context: Dependencies = request.app.state.context
    return context


def now_of(connection: HTTPConnection) -> datetime:
    """Return the time in UTC, by the app's clock."""
    context: Dependencies = connection.app.state.context
    return context.now()


async def caller_of(request: Request) -> Caller:
    """Return whom the gate let in."""
    caller: Caller = request.state.caller
    return caller


async def instance_name(
    name: Annotated[
        FreeText,
        Path(
            description=both("实例名称", "Name of the instance"),
            examples=["test1"],
            json_schema_extra={"pattern": INSTANCE_NAME},
        ),
    ],
) -> str:
    """Return the name in the path; raise InvalidInput where LXD would not have it."""
    if not _INSTANCE_NAME.fullmatch(name):
        raise InvalidInput("name", "instance_name")
    return name


async def caught_up(
    request: Request,
    version: Annotated[
        Version | None,
        Header(
            alias=VERSION_HEADER,
            description=both(
                "操作响应中的版本；等待集群视图达到它，至多 500 毫秒",
                "The version in an operation's answer; wait for the fleet view to reach it, "
                "500 ms at most",
            ),
            examples=["h1:42"],
        ),
    ] = None,
) -> None:
    """Wait until the view shows the change that the caller made elsewhere, or the time is up."""
    if version is not None:
        host, _, sequence = version.partition(":")
        await _shown((await context_of(request)).fleet, host, int(sequence))


Gateway = Annotated[Dependencies, Depends(context_of)]
Who = Annotated[Caller, Depends(caller_of)]
Name = Annotated[str, Depends(instance_name)]
HostChoice = Annotated[
    FreeText | None,
    Query(
        alias="host",
        description=both(
            "主机；名称在多台主机上时必须指定",
            "The host; required if the name exists on several hosts",
        ),
    ),
]
ProjectChoice = Annotated[
    Annotated[str, Field(max_length=63, pattern=ONE_LINE), WithoutControls] | None,
    Query(
        alias="project",
        description=both(
            "LXD 项目；默认所有项目，名称在一台主机的多个项目中时必须指定",
            "The LXD project; all by default, required if the name exists in several projects of a "
            "host",
        ),
    ),
]

Long = Annotated[str, Field(max_length=1000), WithoutControls]
Cursor = Annotated[
    Long | None,
    Query(
        description=both(
            "从上一页给出的游标之后开始", "Begin after the cursor that the previous page gave"
        )
    ),
]


def read(body: bytes) -> Response:
    """Return an answer that is encoded already."""
    return Response(body, media_type="application/json")


async def _shown(fleet: FleetView, host: str, sequence: int) -> None:
    changed = asyncio.Event()
    stop = fleet.watch(lambda _: changed.set())
    try:
        async with asyncio.timeout(VERSION_WAIT_S):
            while not fleet.has_applied(host, sequence):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return
    finally:
        stop()
