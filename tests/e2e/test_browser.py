"""The document's JavaScript in a web page of another origin, and `/docs`, in a real browser."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Vhost
from tests.support.browser import complaints
from tests.support.documents import INSTANCES_API, code_blocks
from tests.support.fleet import Fleet, fleet_of, known_instance
from tests.support.lxd import Lxd, OwnLxd

pytestmark = pytest.mark.slow

# Puts onto the web page what the document's code says on the console, and what goes wrong in it.
HTML = """\
<!doctype html>
<meta charset="utf-8">
<body>
<script>
  function show(value) {
    document.body.append(Object.assign(document.createElement("pre"), {textContent: value}));
  }
  console.log = (value) => show(JSON.stringify(value));
  addEventListener("unhandledrejection", (event) => show(JSON.stringify(`${event.reason}`)));
</script>
<script>CLIENT</script>
<script>STREAM</script>
<script>ws.onerror = () => show(JSON.stringify("no stream"));</script>
"""


class WebSite:
    """A web site of one page with the document's JavaScript, at an origin of its own."""

    def __init__(self, origin: str, file: Path) -> None:
        self.origin = origin
        self._file = file

    def call(self, fleet: Fleet) -> None:
        """Let the page's code call this fleet: nothing but the address is changed in it."""
        client = the_javascript_under("测试示例").replace("http://localhost:8000", fleet.url)
        stream = the_javascript_under("4. WebSocket实时监控")
        stream = stream.replace("ws://服务器IP:8000", fleet.ws_url)
        self._file.write_text(HTML.replace("CLIENT", client).replace("STREAM", stream))


def the_javascript_under(heading: str) -> str:
    (block,) = code_blocks(INSTANCES_API, language="javascript", heading=heading)
    return block.text


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WebSite]:
    folder = tmp_path / "site"
    folder.mkdir()
    address = ("127.0.0.1", processes.free_port())
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(address, handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield WebSite(f"http://127.0.0.1:{address[1]}", folder / "index.html")
        server.shutdown()
        thread.join()


def one_host(
    lxd: Lxd, vhost: Vhost, directory: Path, **settings: str
) -> AbstractContextManager[Fleet]:
    binds = loopback_binds(processes.free_port(), ipv6=False)
    return fleet_of({"h1": lxd}, vhost, directory, binds, **settings)


def what_shows(page: Page, number: int) -> list[Any]:
    """Return what the document's code has put onto the page, once it is so much."""
    shown = page.locator("pre")
    expect(shown).to_have_count(number)
    return [json.loads(text) for text in shown.all_text_contents()]


def status(lxd: Lxd) -> str:
    return str(lxd.call("GET", "/1.0/instances/test1")["status"])


def test_a_page_of_an_allowed_origin_lists_starts_and_watches(
    page: Page, site: WebSite, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    allowed = {"FLEET_ALLOWED_ORIGINS": site.origin}
    with (
        one_host(own_lxd, vhost, tmp_path, **allowed) as fleet,
        known_instance(fleet, own_lxd, "test1"),
    ):
        site.call(fleet)

        page.goto(site.origin)

        shown = what_shows(page, 3)
        listed = next(one for one in shown if isinstance(one, list))
        update = next(one for one in shown if "type" in one)
        assert [instance["name"] for instance in listed] == ["test1"]
        assert {"success": True, "message": "实例 test1 启动成功", "data": None} in shown
        assert [instance["name"] for instance in update["data"]["instances"]] == ["test1"]
        assert status(own_lxd) == "Running"


def test_a_page_of_an_origin_that_is_not_allowed_can_do_nothing(
    page: Page, site: WebSite, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    with (
        one_host(own_lxd, vhost, tmp_path) as fleet,
        known_instance(fleet, own_lxd, "test1"),
    ):
        site.call(fleet)

        page.goto(site.origin)

        assert sorted(what_shows(page, 3)) == ["TypeError: Failed to fetch"] * 2 + ["no stream"]
        said = complaints(page)
        assert sum("blocked by CORS policy" in one for one in said) == 2, said
        assert status(own_lxd) == "Stopped"


def test_the_docs_need_nothing_but_the_gateway(
    page: Page, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    with one_host(own_lxd, vhost, tmp_path) as fleet:
        paths = fleet.http.get("/openapi.json").json()["paths"]
        operations = sum(len(methods) for methods in paths.values())

        page.goto(f"{fleet.url}/docs")

        shown = page.locator(".opblock-summary-path")
        expect(shown).to_have_count(operations)
        assert set(shown.evaluate_all("all => all.map(one => one.dataset.path)")) == set(paths)
        asked = [request.url for request in page.requests()]
        assert f"{fleet.url}/openapi.json" in asked
        assert all(url.startswith(f"{fleet.url}/") for url in asked), asked
        assert not [said for said in complaints(page) if "Content Security Policy" in said]
