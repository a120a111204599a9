"""What the service is and how it is, and the addresses and tickets that it gives out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct, field

from services.gateway.fleet.views import Availability
from services.gateway.responses.fields import always, one_of


class Root(Struct, frozen=True, kw_only=True):
    """What this service is.

    此服务的名称、版本与时间。
    """

    name: str
    version: str
    status: str
    timestamp: str
    timestamp_utc: str

    @classmethod
    def examples(cls) -> list[Root]:
        """Return examples for OpenAPI."""
        return [
            Root(
                name="LXD管理面板API",
                version="1.0.0",
                status="running",
                timestamp="2026-01-23T11:30:00",
                timestamp_utc="2026-01-23T03:30:00Z",
            )
        ]


class HostHealth(Struct, frozen=True, kw_only=True):
    """Whether a host is online and its LXD connected.

    主机是否在线，其 LXD 是否已连接。
    """

    host: str
    online: bool
    lxd_connected: bool


class Health(Struct, frozen=True, kw_only=True):
    """Healthy while the LXD of any host is connected.

    任一主机的 LXD 已连接即为健康。
    """

    status: Annotated[str, one_of("healthy", "unhealthy")]
    lxd_connected: bool
    hosts: list[HostHealth]

    @classmethod
    def examples(cls) -> list[Health]:
        """Return examples for OpenAPI."""
        host = HostHealth(host="h1", online=True, lxd_connected=True)
        return [Health(status="healthy", lxd_connected=True, hosts=[host])]


class Alive(Struct, frozen=True):
    """The process answers.

    进程有应答。
    """

    status: Annotated[str, always("alive")]

    @classmethod
    def examples(cls) -> list[Alive]:
        """Return examples for OpenAPI."""
        return [Alive("alive")]


class Ready(Struct, frozen=True):
    """This gateway can serve: every check passed.

    网关可以服务：所有检查均已通过。
    """

    status: Annotated[str, always("ready")]
    checks: dict[str, bool]

    @classmethod
    def examples(cls) -> list[Ready]:
        """Return examples for OpenAPI."""
        return [Ready("ready", {"database": True, "fleet": True})]


class Ticket(Struct, frozen=True):
    """A one-time ticket for one WebSocket: `/ws/monitor?ticket=...`.

    用于一个 WebSocket 的一次性票据：`/ws/monitor?ticket=...`。
    """

    ticket: str
    expires_in_s: int

    @classmethod
    def examples(cls) -> list[Ticket]:
        """Return examples for OpenAPI."""
        return [Ticket("pV3x...", 30)]


class ScrapeLabels(Struct, frozen=True, omit_defaults=True):
    """Where a target's metrics are, and its `instance` label, by default its address.

    目标的指标路径，及其 `instance` 标签；未给出时为其地址。
    """

    metrics_path: str = field(name="__metrics_path__")
    instance: str | None = None


class ScrapeTarget(Struct, frozen=True):
    """A group of targets as Prometheus' `http_sd_configs` reads it.

    一组抓取目标，格式即 Prometheus 的 `http_sd_configs`。
    """

    targets: list[str]
    labels: ScrapeLabels

    @classmethod
    def examples(cls) -> list[ScrapeTarget]:
        """Return examples for OpenAPI."""
        return [ScrapeTarget(["gateway:8000"], ScrapeLabels("/metrics/hosts/h1", "h1"))]


def health(hosts: Sequence[Availability]) -> Health:
    """Return whether any host's LXD can be worked with, and which ones'."""
    connected = any(host.online and host.lxd_connected for host in hosts)
    return Health(
        status="healthy" if connected else "unhealthy",
        lxd_connected=connected,
        hosts=[
            HostHealth(host=each.host, online=each.online, lxd_connected=each.lxd_connected)
            for each in hosts
        ],
    )
