"""Prometheus: the gateway's own metrics, the instances' series, and what to scrape.

Whoever has one Prometheus scrapes `/metrics`, which is everything. With `/api/prometheus/targets`
it scrapes each host for itself, through this gateway, so that no host needs an open port and each
has an `up` of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import chain

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from services.gateway.bilingual import both
from services.gateway.http.dependencies import Gateway, read
from services.gateway.http.errors import HttpError
from services.gateway.http.free_text import FreeText
from services.gateway.http.name_resolution import known_host
from services.gateway.http.openapi import METRICS, READING, TOKEN, Responses, answers, problems
from services.gateway.http.prefix import prefix_of
from services.gateway.responses.metrics import exposition, subjects
from services.gateway.responses.system import ScrapeLabels, ScrapeTarget
from services.gateway.time_slices import in_slices

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT: Responses = {
    200: {
        "description": both("成功", "Success"),
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
ONE_HOST = ("host_not_found", "invalid_input", "fleet_view_not_ready", "not_sampled")
# What is sent at once, in bytes: each part passes all middlewares.
PART_BYTES = 1 << 17
OF_GATEWAY = "/metrics/gateway"
OF_HOST = "/metrics/hosts/{host}"

router = APIRouter(tags=[METRICS], dependencies=TOKEN)


@router.get(
    "/metrics",
    response_class=Response,
    responses=TEXT | problems(*READING),
    summary=both("全部指标", "All metrics"),
)
async def everything(gateway: Gateway) -> Response:
    """Return the gateway's metrics and, once the fleet is known, those of every instance.

    返回网关的指标，以及集群视图建立后所有实例的指标。
    """
    fleet, boundary = gateway.fleet, gateway.boundary
    hosts = sorted(fleet.host_ids()) if fleet.ready else ()
    instances = exposition(subjects(fleet, hosts, boundary), boundary)
    return _streamed(chain(gateway.telemetry.steps(), instances))


@router.get(
    OF_GATEWAY,
    response_class=Response,
    responses=TEXT | problems(*READING),
    summary=both("网关自身的指标", "Metrics of the gateway"),
)
async def of_gateway(gateway: Gateway) -> Response:
    """Return the gateway's own metrics: operations, calls, viewers and the size of the fleet.

    返回网关自身的指标：操作、调用、连接与集群规模。
    """
    return _streamed(gateway.telemetry.steps())


@router.get(
    OF_HOST,
    response_class=Response,
    responses=TEXT | problems(*READING, *ONE_HOST),
    summary=both("一台主机的实例指标", "Metrics of one host's instances"),
)
async def of_host(gateway: Gateway, host: FreeText) -> Response:
    """Return the metrics of one host's instances; 503 while its samples are old, so `up` is 0.

    返回一台主机的实例指标；数据过旧时为 503，因此 `up` 为 0。
    """
    if not known_host(gateway.fleet, host).fresh:
        raise HttpError("not_sampled", host=host)
    measured = subjects(gateway.fleet, [host], gateway.boundary)
    return _streamed(exposition(measured, gateway.boundary))


@router.get(
    "/api/prometheus/targets",
    responses=answers(ScrapeTarget, many=True) | problems(*READING, "fleet_view_not_ready"),
    summary=both("抓取目标（http_sd）", "Scrape targets (http_sd)"),
)
async def targets(request: Request, gateway: Gateway) -> Response:
    """Return the gateway and every host as targets, at the address of this request.

    以本请求所用的地址返回网关和各主机的抓取目标。
    """
    address, prefix = request.url.netloc, prefix_of(request)
    own = ScrapeTarget([address], ScrapeLabels(prefix + OF_GATEWAY))
    gateway.fleet.require_ready()
    hosts = [
        ScrapeTarget([address], ScrapeLabels(prefix + OF_HOST.format(host=host), host))
        for host in sorted(gateway.fleet.host_ids())
    ]
    return read(msgspec.json.encode([own, *hosts]))


def _streamed(steps: Iterable[bytes]) -> Response:
    return StreamingResponse(_parts(steps), media_type=MEDIA_TYPE)


async def _parts(steps: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the text in parts of some size; others are served whenever a slice is used up."""
    part = bytearray()
    async for text in in_slices(steps):
        part += text
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)
