"""Prometheus: the gateway's own metrics, the instances' series, and what to scrape.

Whoever has one Prometheus scrapes `/metrics`, which is everything. With `/api/prometheus/targets`
it scrapes each host for itself, through this gateway, so that no host needs an open port and each
has an `up` of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from services.gateway.http import models
from services.gateway.http.dependencies import Dependencies, Gateway, read
from services.gateway.http.errors import HttpError
from services.gateway.http.free_text import FreeText
from services.gateway.http.name_resolution import known_host
from services.gateway.http.openapi import READING, TOKEN, problems
from services.gateway.http.prefix import prefix_of
from services.gateway.responses.metrics import MetricSubject, exposition, subjects
from shared.contracts.errors import FleetViewNotReady

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}
ONE_HOST = ("host_not_found", "invalid_input", "fleet_view_not_ready", "not_sampled")
OF_GATEWAY = "/metrics/gateway"
OF_HOST = "/metrics/hosts/{host}"

router = APIRouter(tags=["指标"], dependencies=TOKEN)


@router.get(
    "/metrics",
    response_class=Response,
    responses=TEXT | problems(*READING),
    summary="全部指标",
)
async def everything(gateway: Gateway) -> Response:
    """Return the gateway's metrics and, once the fleet is known, every instance's series."""
    return _answer(gateway, gateway.telemetry.text(), _all_subjects(gateway))


@router.get(
    OF_GATEWAY,
    response_class=Response,
    responses=TEXT | problems(*READING),
    summary="网关自身的指标",
)
async def of_gateway(gateway: Gateway) -> Response:
    """Return the gateway's own metrics: operations, calls, viewers, and the fleet's size."""
    return _answer(gateway, gateway.telemetry.text(), [])


@router.get(
    OF_HOST,
    response_class=Response,
    responses=TEXT | problems(*READING, *ONE_HOST),
    summary="一台主机的实例指标",
)
async def of_host(gateway: Gateway, host: FreeText) -> Response:
    """Return the series of one host's instances; 503, so `up` is 0, while its samples are old."""
    known = known_host(gateway.fleet, host)
    if not known.fresh:
        raise HttpError("not_sampled", host=host)
    measured = subjects(gateway.fleet.instances(host), [known], gateway.boundary)
    return _answer(gateway, b"", measured)


@router.get(
    "/api/prometheus/targets",
    response_model=list[models.ScrapeTarget],
    responses=problems(*READING, "fleet_view_not_ready"),
    summary="抓取目标（http_sd）",
)
async def targets(request: Request, gateway: Gateway) -> Response:
    """Return the gateway and every host as targets at the address this request was sent to."""
    address, prefix = request.url.netloc, prefix_of(request)
    own = _target(address, prefix + OF_GATEWAY)
    hosts = [
        _target(address, prefix + OF_HOST.format(host=known.host), instance=known.host)
        for known in gateway.fleet.hosts()
    ]
    return read(msgspec.json.encode([own, *hosts]))


def _target(address: str, path: str, **labels: str) -> dict[str, object]:
    return {"targets": [address], "labels": {"__metrics_path__": path, **labels}}


def _all_subjects(gateway: Dependencies) -> list[MetricSubject]:
    fleet = gateway.fleet
    try:
        return subjects(fleet.instances(), fleet.hosts(), gateway.boundary)
    except FleetViewNotReady:
        return []


def _answer(gateway: Dependencies, first: bytes, measured: Sequence[MetricSubject]) -> Response:
    pieces = exposition(measured, gateway.boundary)
    return StreamingResponse(_parts(first, pieces), media_type=MEDIA_TYPE)


async def _parts(first: bytes, pieces: Iterable[str]) -> AsyncIterator[bytes]:
    """Yield piece after piece; others are served in between."""
    yield first
    for piece in pieces:
        yield piece.encode()
        await asyncio.sleep(0)
