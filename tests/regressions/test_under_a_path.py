"""Seen behind a proxy that served the gateway as `https://panel/lxd/`: most addresses were wrong.

`/docs` and the console page asked for their files beside the path, `Location`, the console's
address and Prometheus' targets left it out, and no setting told the gateway of it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from services.gateway.http.console_page import FILES
from services.gateway.settings import OWN_SEGMENTS, HttpSettings
from shared.contracts.errors import OperationInProgress
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.vms import gateway_of_vms

TOKEN = "0123456789abcdef" * 2
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMED = replace(LOOPBACK, token=TOKEN, root_path="/lxd")
TOLD = replace(LOOPBACK, token=TOKEN, trusted_proxies=("127.0.0.1",))
OUTSIDE = "https://panel.example"


def client(settings: HttpSettings, **headers: str) -> httpx.AsyncClient:
    gateway = replace(gateway_of_vms(), settings=settings)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.client(base_url=OUTSIDE, headers=BEARER | named)


@pytest.fixture(params=["the settings, path kept", "the settings, path taken off", "a proxy"])
async def there(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose addresses begin with /lxd, whatever a proxy makes of them."""
    if request.param == "a proxy":
        reached = client(TOLD, X_Forwarded_Prefix="/lxd")
    else:
        reached = client(NAMED)
    if request.param != "the settings, path kept":
        reached.event_hooks["request"].append(taken_off)
    async with reached:
        yield reached


async def taken_off(request: httpx.Request) -> None:
    """Do what a proxy does that takes its path off; fail for what it would not pass on."""
    assert request.url.path.startswith("/lxd/")
    request.url = request.url.copy_with(raw_path=request.url.raw_path.removeprefix(b"/lxd"))


def is_here(address: str) -> bool:
    """Whether it names a file of ours that was set up; xterm.js may not have been."""
    name = address.rpartition("/")[2]
    return FILES[name].exists() if name in FILES else not address.startswith("data:")


@pytest.mark.parametrize("page", ["/lxd/docs", "/lxd/console/vm-u1"])
async def test_a_page_finds_its_files_and_its_data(there: httpx.AsyncClient, page: str) -> None:
    text = (await there.get(page)).raise_for_status().text

    named = [*re.findall(r'(?:src|href)="([^"]+)"', text), *re.findall(r"url: '([^']+)'", text)]
    found = [await there.get(urljoin(f"{OUTSIDE}{page}", each)) for each in named if is_here(each)]
    assert [answer.status_code for answer in found] == [200] * len(found)
    assert len(found) >= 2


async def test_the_script_of_the_console_asks_beside_its_own_path(there: httpx.AsyncClient) -> None:
    script = (await there.get("/lxd/console-files/console.js")).text

    [asked] = re.findall(r"const path = `(.+?)\$", script)
    assert urljoin("/lxd/console/vm-u1", asked) == "/lxd/api/v1/vms/"


async def test_the_description_names_the_path(there: httpx.AsyncClient) -> None:
    document = (await there.get("/lxd/openapi.json")).json()

    assert document["servers"] == [{"url": "/lxd"}]
    assert "/api/v1/vms" in document["paths"]


@pytest.mark.parametrize(
    "path", ["/lxd/api/instances/web/start?host=h1", "/lxd/api/v1/vms/vm-u2/start"]
)
async def test_location_leads_to_the_operation(there: httpx.AsyncClient, path: str) -> None:
    begun = await there.post(path)

    assert begun.headers["location"] == "/lxd/api/operations/op-1"
    assert (await there.get(begun.headers["location"])).json()["id"] == "op-1"


async def test_the_console_and_the_targets_are_under_the_path(there: httpx.AsyncClient) -> None:
    console = (await there.get("/lxd/api/v1/vms/vm-u1/console")).json()["data"]
    targets = (await there.get("/lxd/api/prometheus/targets")).json()

    address = urlsplit(console["url"])
    assert (address.scheme, address.netloc) == ("wss", "panel.example")
    assert address.path == "/lxd/console/vm-u1"
    paths = [target["labels"]["__metrics_path__"] for target in targets]
    assert paths == [
        "/lxd/metrics/gateway",
        "/lxd/metrics/hosts/h1",
        "/lxd/metrics/hosts/h2",
    ]
    for path in paths:
        (await there.get(path)).raise_for_status()


async def test_errors_have_the_form_of_the_api_that_was_asked(there: httpx.AsyncClient) -> None:
    own, v1 = await there.get("/lxd/api/nothing"), await there.get("/lxd/api/v1/nothing")

    assert own.json()["code"] == "route_not_found"
    assert v1.json()["error"]["code"] == "NOT_FOUND"


async def test_a_conflict_leads_to_what_is_in_the_way(there: httpx.AsyncClient) -> None:
    gateway = replace(gateway_of_vms(), settings=NAMED)
    gateway.operations.refusal = OperationInProgress("web", "op-7")
    async with gateway.client(headers=BEARER) as caller:
        answer = await caller.post("/lxd/api/v1/vms/vm-u1/start")

    assert answer.status_code == 409
    assert answer.headers["location"] == "/lxd/api/operations/op-7"


async def test_the_path_alone_is_the_root() -> None:
    async with client(NAMED) as caller:
        assert (await caller.get("/lxd")).json()["status"] == "running"
        assert (await caller.get("/lxd/")).json()["status"] == "running"
        assert (await caller.get("/lxdx/livez")).status_code == 404


async def test_what_the_proxy_says_counts_before_the_setting() -> None:
    both = replace(TOLD, root_path="/lxd")
    async with client(both, X_Forwarded_Prefix="/panel") as caller:
        document = (await caller.get("/openapi.json")).json()

    assert document["servers"] == [{"url": "/panel"}]


async def test_without_a_path_nothing_is_put_before_addresses() -> None:
    for prefix in ("", "/"):
        async with client(replace(TOLD, root_path="/lxd"), X_Forwarded_Prefix=prefix) as caller:
            begun = await caller.post("/api/v1/vms/vm-u2/start")
            assert begun.headers["location"] == "/api/operations/op-1"


NO_PATHS = [
    "//evil.example",
    "/lxd//evil",
    "https://evil.example",
    "evil.example",
    "/\\evil.example",
    "/lxd/..",
    "/./lxd",
    "/lxd?x=",
    "/lxd#",
    "/lx d",
    "/%0d%0aset-cookie:x=y",
    "/lxd, /evil",
    "/é",
    "/" + "x" * 255,
]


@pytest.mark.attack
@pytest.mark.parametrize("prefix", NO_PATHS)
async def test_what_is_no_path_stands_before_no_address(prefix: str) -> None:
    sent = [(b"x-forwarded-prefix", prefix.encode())]
    async with client(TOLD) as caller:
        begun = await caller.post("/api/v1/vms/vm-u2/start", headers=[*bearer(), *sent])

    assert begun.headers["location"] == "/api/operations/op-1"


@pytest.mark.attack
async def test_of_two_prefixes_none_is_believed() -> None:
    sent = [(b"x-forwarded-prefix", b"/lxd"), (b"x-forwarded-prefix", b"/evil")]
    async with client(TOLD) as caller:
        begun = await caller.post("/api/v1/vms/vm-u2/start", headers=[*bearer(), *sent])

    assert begun.headers["location"] == "/api/operations/op-1"


def bearer() -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {TOKEN}".encode())]


@pytest.mark.attack
async def test_nobody_but_a_trusted_proxy_is_believed() -> None:
    untrusting = replace(TOLD, trusted_proxies=("10.0.0.1",))
    async with client(untrusting, X_Forwarded_Prefix="/evil") as caller:
        begun = await caller.post("/api/v1/vms/vm-u2/start")

    assert begun.headers["location"] == "/api/operations/op-1"


@pytest.mark.attack
@pytest.mark.parametrize("prefix", ["/console-files", "/docs", "/console", "/static-offline-docs"])
async def test_no_header_leads_past_the_token(prefix: str) -> None:
    async with client(TOLD, X_Forwarded_Prefix=prefix) as caller:
        del caller.headers["authorization"]
        below = await caller.get(f"{prefix}/api/v1/vms")
        beside = await caller.get("/api/v1/vms")

    assert below.status_code in {401, 404}
    assert beside.status_code == 401


def test_the_settings_know_what_our_own_paths_begin_with() -> None:
    paths = [getattr(route, "path", "") for route in FakeGateway().app().router.routes]

    assert {path.split("/")[1] for path in paths} - {""} == OWN_SEGMENTS
