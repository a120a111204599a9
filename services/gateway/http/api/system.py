"""What the service is and how it is: `/`, health, and the host or the sums of all hosts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Depends, Response

from services.gateway import units
from services.gateway.bilingual import both
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Availability
from services.gateway.http.dependencies import Gateway, HostChoice, caught_up, read
from services.gateway.http.errors import HttpError
from services.gateway.http.name_resolution import require_instances
from services.gateway.http.openapi import FLEET, READING, SYSTEM, TOKEN, answers, problems
from services.gateway.responses import hosts as shown
from services.gateway.responses.system import Alive, Health, Ready, Root
from services.gateway.responses.system import health as health_of
from shared.contracts.errors import FleetViewNotReady, LxdUnavailable

API_NAME = "LXD管理面板API"
API_VERSION = "1.0.0"

router = APIRouter(tags=[SYSTEM])


@router.get("/", responses=answers(Root), summary=both("根路径", "Root"))
async def root(gateway: Gateway) -> Response:
    """Return what answers here, and its time.

    返回此服务的名称、版本与时间。
    """
    now = gateway.now()
    body = Root(
        name=API_NAME,
        version=API_VERSION,
        status="running",
        timestamp=units.local_text(now),
        timestamp_utc=units.utc_text(now),
    )
    return read(msgspec.json.encode(body))


@router.get("/api/health", responses=answers(Health), summary=both("健康检查", "Health"))
async def health(gateway: Gateway) -> Response:
    """Return whether the LXD of any host is connected; always with 200.

    返回是否有主机的 LXD 已连接；状态码始终为 200。
    """
    return read(msgspec.json.encode(health_of(_hosts_so_far(gateway.fleet))))


@router.get(
    "/api/host/info",
    responses=answers(shown.HostInfo) | problems(*READING, *FLEET),
    dependencies=[*TOKEN, Depends(caught_up)],
    summary=both("宿主机信息", "Host information"),
)
async def host_info(gateway: Gateway, host: HostChoice = None) -> Response:
    """Return the figures of one host, or the sums and weighted percentages of all.

    返回一台主机的数据，或全部主机之和与加权百分比。
    """
    require_instances(gateway.fleet, host)
    hosts = gateway.fleet.hosts() if host is None else [gateway.fleet.host(host)]
    if not any(known.sample for known in hosts):
        raise LxdUnavailable(host or "")
    return read(msgspec.json.encode(shown.fleet_information(hosts, gateway.boundary)))


@router.get("/livez", responses=answers(Alive), summary=both("存活检查", "Liveness"))
async def livez() -> Response:
    """Answer, which is all that is checked.

    仅检查进程有应答。
    """
    return read(msgspec.json.encode(Alive("alive")))


@router.get(
    "/readyz",
    responses=answers(Ready) | problems("not_ready"),
    summary=both("就绪检查", "Readiness"),
)
async def readyz(gateway: Gateway) -> Response:
    """Return whether reads can be served: the database answers and the fleet is known.

    返回可否提供查询：数据库可用，且集群视图已建立。
    """
    return _passed(await _checks(gateway))


@router.get(
    "/healthz",
    responses=answers(Ready) | problems(*READING, "not_ready"),
    dependencies=TOKEN,
    summary=both("全面检查", "All checks"),
)
async def healthz(gateway: Gateway) -> Response:
    """Return whether everything that the gateway needs is there, including the broker.

    返回网关所需的一切是否可用，包括消息服务。
    """
    checks = {**await _checks(gateway), "broker": gateway.health.broker_connected}
    if blocked := gateway.health.broker_blocked:
        checks[f"broker (blocked: {blocked})"] = False
    return _passed(checks)


async def _checks(gateway: Gateway) -> dict[str, bool]:
    return {"database": await gateway.health.database_answers(), "fleet": gateway.fleet.ready}


def _passed(checks: dict[str, bool]) -> Response:
    """Return that all checks passed; raise HttpError that names those that did not."""
    missing = [name for name, passed in checks.items() if not passed]
    if missing:
        raise HttpError("not_ready", missing=", ".join(missing))
    return read(msgspec.json.encode(Ready("ready", checks)))


def _hosts_so_far(fleet: FleetView) -> Sequence[Availability]:
    try:
        return fleet.availability()
    except FleetViewNotReady:
        return []
