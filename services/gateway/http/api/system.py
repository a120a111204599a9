"""What the service is and how it is: `/`, health, and the host or the sums of all hosts."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Response

from services.gateway import units
from services.gateway.fleet.view import FleetView
from services.gateway.http import models
from services.gateway.http.dependencies import Gateway, HostChoice, caught_up, read
from services.gateway.http.errors import HttpError
from services.gateway.http.name_resolution import known_hosts
from services.gateway.http.openapi import FLEET, READING, TOKEN, problems
from services.gateway.responses import hosts as shown
from shared.contracts.errors import FleetViewNotReady, LxdUnavailable

API_NAME = "LXD管理面板API"
API_VERSION = "1.0.0"

router = APIRouter(tags=["系统"])


@router.get("/", response_model=models.Root, summary="根路径")
async def root(gateway: Gateway) -> dict[str, str]:
    """Say what answers here, and what time it is there."""
    now = gateway.now()
    return {
        "name": API_NAME,
        "version": API_VERSION,
        "status": "running",
        "timestamp": units.local_text(now),
        "timestamp_utc": units.utc_text(now),
    }


@router.get("/api/health", response_model=models.Health, summary="健康检查")
async def health(gateway: Gateway) -> Response:
    """Say whether any host's LXD can be worked with; always 200."""
    hosts = _hosts_so_far(gateway.fleet)
    connected = any(host.online and host.lxd_connected for host in hosts)
    body = {
        "status": "healthy" if connected else "unhealthy",
        "lxd_connected": connected,
        "hosts": hosts,
    }
    return Response(msgspec.json.encode(body), media_type="application/json")


@router.get(
    "/api/host/info",
    response_model=models.HostInfo,
    responses=problems(*READING, *FLEET),
    dependencies=[*TOKEN, Depends(caught_up)],
    summary="宿主机信息",
)
async def host_info(gateway: Gateway, host: HostChoice = None) -> Response:
    """Return one host's figures, or the fleet's sums and weighted percentages."""
    hosts = known_hosts(gateway.fleet, host)
    if not any(known.sample for known in hosts):
        raise LxdUnavailable(host or "")
    return read(msgspec.json.encode(shown.fleet_information(hosts, gateway.boundary)))


@router.get("/livez", response_model=models.Alive, summary="存活检查")
async def livez() -> dict[str, str]:
    """Answer; nothing else is asked."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    response_model=models.Ready,
    responses=problems("not_ready"),
    summary="就绪检查",
)
async def readyz(gateway: Gateway) -> dict[str, Any]:
    """Say whether reads can be served: the database answers and the fleet is known."""
    return _passed(await _checks(gateway))


@router.get(
    "/healthz",
    response_model=models.Ready,
    responses=problems(*READING, "not_ready"),
    dependencies=TOKEN,
    summary="全面检查",
)
async def healthz(gateway: Gateway) -> dict[str, Any]:
    """Say whether all that this gateway needs is there, the broker among it."""
    checks = {**await _checks(gateway), "broker": gateway.health.broker_connected}
    if blocked := gateway.health.broker_blocked:
        checks[f"broker (blocked: {blocked})"] = False
    return _passed(checks)


async def _checks(gateway: Gateway) -> dict[str, bool]:
    return {"database": await gateway.health.database_answers(), "fleet": gateway.fleet.ready}


def _passed(checks: dict[str, bool]) -> dict[str, Any]:
    """Return the checks if all are passed, else raise HttpError that names those that are not."""
    missing = [name for name, passed in checks.items() if not passed]
    if missing:
        raise HttpError("not_ready", missing=", ".join(missing))
    return {"status": "ready", "checks": checks}


def _hosts_so_far(fleet: FleetView) -> list[shown.HostHealth]:
    try:
        return [shown.host_health(known) for known in fleet.hosts()]
    except FleetViewNotReady:
        return []
