"""Prometheus: the gateway's own metrics, the instances' series, and what to scrape.

Whoever has one Prometheus scrapes `/metrics`, which is everything. With `/api/prometheus/targets`
it scrapes each host for itself, through this gateway, so that no host needs an open port and each
has an `up` of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from services.gateway.bilingual import both
from services.gateway.http.dependencies import Dependencies, Gateway, read
from services.gateway.http.errors import HttpError
from services.gateway.http.free_text import FreeText
from services.gateway.http.name_resolution import known_host
from services.gateway.http.openapi import METRICS, READING, TOKEN, Responses, answers, problems
from services.gateway.http.prefix import prefix_of
from services.gateway.responses.metrics import MetricSubject, exposition, subjects
from services.gateway.responses.system import ScrapeLabels, ScrapeTarget

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT: Responses = {
    200: {
        "description": both("成功", "Success"),
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
ONE_HOST = ("host_not_found", "invalid_input", "fleet_view_not_ready", "not_sampled")
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
    return _answer(gateway, gateway.telemetry.text(), await _all_subjects(gateway))


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
    return _answer(gateway, gateway.telemetry.text(), [])


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
    known = known_host(gateway.fleet, host)
    if not known.fresh:
        raise HttpError("not_sampled", host=host)
    measured = subjects(gateway.fleet.instances(host), [known], gateway.boundary)
    return _answer(gateway, b"", measured)


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
    hosts = [
        ScrapeTarget([address], ScrapeLabels(prefix + OF_HOST.format(host=known.host), known.host))
        for known in gateway.fleet.hosts()
    ]
    return read(msgspec.json.encode([own, *hosts]))


async def _all_subjects(gateway: Dependencies) -> list[MetricSubject]:
    """Return those of host after host; others are served in between."""
    fleet = gateway.fleet
    found: list[MetricSubject] = []
    if not fleet.ready:
        return found
    for known in fleet.hosts():
        if fleet.has_host(known.host):
            found += subjects(fleet.instances(known.host), [known], gateway.boundary)
            await asyncio.sleep(0)
    return found


def _answer(gateway: Dependencies, first: bytes, measured: Sequence[MetricSubject]) -> Response:
    pieces = exposition(measured, gateway.boundary)
    return StreamingResponse(_parts(first, pieces), media_type=MEDIA_TYPE)


async def _parts(first: bytes, pieces: Iterable[str]) -> AsyncIterator[bytes]:
    """Yield piece after piece; others are served in between."""
    yield first
    for piece in pieces:
        yield piece.encode()
        await asyncio.sleep(0)
