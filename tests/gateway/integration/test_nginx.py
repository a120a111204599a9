"""The guide's nginx in front of a gateway, alone on its site and under a path, with TLS."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from services.gateway.http.console_page import FILES
from services.gateway.settings import HttpSettings
from tests.support.certificates import self_signed
from tests.support.gateway_http import LOOPBACK, FakeGateway, listening
from tests.support.nginx import UNDER, guides_site, nginx, replaced
from tests.support.polling import eventually
from tests.support.vms import gateway_of_vms

TOKEN = "0123456789abcdef" * 2
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BEHIND = replace(LOOPBACK, token=TOKEN, trusted_proxies=("127.0.0.1",))


@dataclass(frozen=True)
class Site:
    """A gateway as it is reached through nginx; `http` calls it at `url`, `path` of it included."""

    gateway: FakeGateway
    http: httpx.AsyncClient
    url: str
    path: str
    tls: ssl.SSLContext

    @property
    def origin(self) -> str:
        """What a browser tells of a page that was got from here."""
        return self.url.removesuffix(self.path)


WAYS: dict[str, tuple[HttpSettings, str]] = {
    "alone": (BEHIND, ""),
    "under a path that the settings name": (replace(BEHIND, root_path=UNDER), UNDER),
    "under a path that nginx takes off": (BEHIND, UNDER),
}


@pytest.fixture(params=WAYS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    settings, path = WAYS[request.param]
    gateway = replace(gateway_of_vms(), settings=settings)
    certificate = self_signed(tmp_path)
    tls = ssl.create_default_context(cafile=str(certificate.cert))
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(listening(gateway.app()))
        config = guides_site(own, under_a_path=bool(path))
        if path and not settings.root_path:
            config = replaced(config, f"127.0.0.1:{own};", f"127.0.0.1:{own}/;")
            config = replaced(config, 'X-Forwarded-Prefix ""', f"X-Forwarded-Prefix {UNDER}")
        port = stack.enter_context(nginx(config, certificate, tmp_path))
        url = f"https://127.0.0.1:{port}{path}"
        client = httpx.AsyncClient(base_url=url, headers=BEARER, verify=tls)
        yield Site(gateway, await stack.enter_async_context(client), url, path, tls)


async def test_what_is_told_leads_back_through_the_proxy(site: Site) -> None:
    begun = await site.http.post("/api/v1/vms/vm-u2/start")
    targets = (await site.http.get("/api/prometheus/targets")).json()

    assert begun.headers["location"] == f"{site.path}/api/operations/op-1"
    assert (await site.http.get(f"{site.origin}{begun.headers['location']}")).is_success
    for target in targets:
        [address], where = target["targets"], target["labels"]["__metrics_path__"]
        assert (await site.http.get(f"https://{address}{where}")).is_success


@pytest.mark.parametrize("page", ["/docs", "/console/vm-u1"])
async def test_a_page_finds_its_files(site: Site, page: str) -> None:
    text = (await site.http.get(page)).raise_for_status().text

    named = [*re.findall(r'(?:src|href)="([^"]+)"', text), *re.findall(r"url: '([^']+)'", text)]
    for address in [urljoin(f"{site.url}{page}", each) for each in named]:
        name = address.rpartition("/")[2]
        there = FILES[name].exists() if name in FILES else address.startswith("https:")
        if there:
            (await site.http.get(address)).raise_for_status()
    assert len(named) > 3


async def test_the_description_says_where_it_is(site: Site) -> None:
    document = (await site.http.get("/openapi.json")).json()

    servers = [server["url"] for server in document.get("servers", [{"url": ""}])]
    assert servers == [site.path]


async def test_a_console_is_had_through_the_proxy(site: Site) -> None:
    stream = site.gateway.consoles.stream
    stream.shows = [b"\xff hello"]
    told = (await site.http.get("/api/v1/vms/vm-u1/console")).json()["data"]

    assert told["url"].startswith(f"wss://{urlsplit(site.url).netloc}{site.path}/console/vm-u1?")
    async with connect(told["url"], ssl=site.tls, origin=site.origin) as viewer:  # type: ignore[arg-type]
        assert await viewer.recv() == b"\xff hello"
        await viewer.send(b"ls\n")
        await eventually(lambda: stream.typed == [b"ls\n"])


async def test_the_live_streams_are_had_through_the_proxy(site: Site) -> None:
    ticket = (await site.http.post("/api/ws-tickets")).json()["ticket"]
    live = site.url.replace("https:", "wss:") + "/ws/monitor"

    async with connect(f"{live}?ticket={ticket}", ssl=site.tls) as viewer:
        first = json.loads(await viewer.recv())
    with pytest.raises(InvalidStatus) as refused:
        await connect(live, ssl=site.tls)

    assert [entry["name"] for entry in first["data"]["instances"]] == ["db", "web", "web"]
    assert refused.value.response.status_code == 401


@pytest.mark.attack
async def test_a_client_cannot_say_under_which_path_it_is(site: Site) -> None:
    begun = await site.http.post("/api/v1/vms/vm-u2/start", headers={"X-Forwarded-Prefix": "/evil"})

    assert begun.headers["location"] == f"{site.path}/api/operations/op-1"


@pytest.mark.attack
async def test_a_page_of_another_site_gets_no_console(site: Site) -> None:
    told = (await site.http.get("/api/v1/vms/vm-u1/console")).json()["data"]

    with pytest.raises(InvalidStatus) as refused:
        await connect(told["url"], ssl=site.tls, origin="https://evil.example")  # type: ignore[arg-type]

    assert refused.value.response.status_code == 403


async def test_nothing_else_of_the_site_is_the_gateways(site: Site) -> None:
    answer = await site.http.get(f"{site.origin}/lxdx/livez")

    assert answer.status_code == 404
