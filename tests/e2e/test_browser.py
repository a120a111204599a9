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

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Vhost
from tests.support.browser import Browser
from tests.support.documents import INSTANCES_API, code_blocks
from tests.support.fleet import Fleet, fleet_of, known_instance
from tests.support.lxd import Lxd, OwnLxd

pytestmark = pytest.mark.slow

# Puts onto the page what the document's code says on the console, and what goes wrong in it.
PAGE = """\
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


class Page:
    """A page with the document's JavaScript, at an origin of its own."""

    def __init__(self, origin: str, file: Path) -> None:
        self.origin = origin
        self._file = file

    def call(self, fleet: Fleet) -> None:
        """Let the page's code call this fleet: nothing but the address is changed in it."""
        client = the_javascript_under("测试示例").replace("http://localhost:8000", fleet.url)
        stream = the_javascript_under("4. WebSocket实时监控")
        stream = stream.replace("ws://服务器IP:8000", fleet.ws_url)
        self._file.write_text(PAGE.replace("CLIENT", client).replace("STREAM", stream))


def the_javascript_under(heading: str) -> str:
    (block,) = code_blocks(INSTANCES_API, language="javascript", heading=heading)
    return block.text


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    folder = tmp_path / "page"
    folder.mkdir()
    address = ("127.0.0.1", processes.free_port())
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(address, handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Page(f"http://127.0.0.1:{address[1]}", folder / "index.html")
        server.shutdown()
        thread.join()


def one_host(
    lxd: Lxd, vhost: Vhost, directory: Path, **settings: str
) -> AbstractContextManager[Fleet]:
    binds = loopback_binds(processes.free_port(), ipv6=False)
    return fleet_of({"h1": lxd}, vhost, directory, binds, **settings)


def said(browser: Browser) -> list[Any]:
    texts = browser.evaluate('[...document.querySelectorAll("pre")].map((pre) => pre.textContent)')
    return [json.loads(text) for text in texts]


def says(browser: Browser, number: int) -> bool:
    return processes.wait_until(lambda: len(said(browser)) >= number, timeout_s=15)


def status(lxd: Lxd) -> str:
    return str(lxd.call("GET", "/1.0/instances/test1")["status"])


def test_a_page_of_an_allowed_origin_lists_starts_and_watches(
    browser: Browser, page: Page, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    allowed = {"FLEET_ALLOWED_ORIGINS": page.origin}
    with (
        one_host(own_lxd, vhost, tmp_path, **allowed) as fleet,
        known_instance(fleet, own_lxd, "test1"),
    ):
        page.call(fleet)

        browser.open(page.origin)

        assert says(browser, 3), browser.complaints()
        listed = next(one for one in said(browser) if isinstance(one, list))
        update = next(one for one in said(browser) if "type" in one)
        assert [instance["name"] for instance in listed] == ["test1"]
        assert {"success": True, "message": "实例 test1 启动成功", "data": None} in said(browser)
        assert [instance["name"] for instance in update["data"]["instances"]] == ["test1"]
        assert status(own_lxd) == "Running"


def test_a_page_of_an_origin_that_is_not_allowed_can_do_nothing(
    browser: Browser, page: Page, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    with (
        one_host(own_lxd, vhost, tmp_path) as fleet,
        known_instance(fleet, own_lxd, "test1"),
    ):
        page.call(fleet)

        browser.open(page.origin)

        assert says(browser, 3)
        assert sorted(said(browser)) == ["TypeError: Failed to fetch"] * 2 + ["no stream"]
        complaints = browser.complaints()
        assert sum("blocked by CORS policy" in one for one in complaints) == 2, complaints
        assert status(own_lxd) == "Stopped"


def test_the_docs_need_nothing_but_the_gateway(
    browser: Browser, own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path
) -> None:
    with one_host(own_lxd, vhost, tmp_path) as fleet:
        paths = set(fleet.http.get("/openapi.json").json()["paths"])

        browser.open(f"{fleet.url}/docs")

        shown = '[...document.querySelectorAll(".opblock-summary-path")].map((p) => p.dataset.path)'
        assert processes.wait_until(lambda: set(browser.evaluate(shown)) == paths, timeout_s=15)
        asked = [address for address in browser.requests() if not address.startswith("data:")]
        assert f"{fleet.url}/openapi.json" in asked
        assert all(address.startswith(f"{fleet.url}/") for address in asked), asked
        assert not [said for said in browser.complaints() if "Content Security Policy" in said]
