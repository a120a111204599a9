"""A console in a real browser: typed, shown, resized, and whole under a flood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.services import loopback_binds
from services.gateway.http.console_page import FILES
from tests.support.broker import Vhost
from tests.support.browser import Browser
from tests.support.daemons import missing
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import OwnLxd

pytestmark = pytest.mark.slow

# What stands on the screen and above it.
SCREEN = """(() => {
  const buffer = terminal.buffer.active
  const lines = []
  for (let row = 0; row < buffer.length; row++) {
    lines.push(buffer.getLine(row).translateToString(true))
  }
  return lines.join("\\n")
})()"""


@pytest.fixture
def fleet(own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path) -> Iterator[Fleet]:
    if not all(file.exists() for file in FILES.values()):
        missing("xterm.js was not fetched: make console-page")
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with fleet_of({"h1": own_lxd}, vhost, tmp_path, binds) as running:
        yield running


def shows(browser: Browser, text: str) -> bool:
    return processes.wait_until(lambda: text in browser.evaluate(SCREEN), timeout_s=20)


def test_a_shell_can_be_used_in_a_browser(browser: Browser, fleet: Fleet) -> None:
    name = fleet.on["h1"].launch("page")
    path = f"/api/v1/vms/{name}/console"
    assert processes.wait_until(lambda: fleet.http.get(path).is_success, timeout_s=10)

    browser.open(f"{fleet.url}/console/{name}")
    assert shows(browser, "~ #"), browser.complaints()

    browser.type("echo $((6 * 7)) in $(hostname)\n")
    assert shows(browser, f"42 in {name}")

    browser.type("stty size\n")
    assert shows(browser, browser.evaluate("`${terminal.rows} ${terminal.cols}`"))

    browser.type("seq 1 200000 | cat; echo all''done\n")
    assert shows(browser, "199999\n200000\nalldone")

    browser.type("exit 7\n")
    ended = 'document.querySelector("#message").textContent'
    assert processes.wait_until(lambda: "7" in browser.evaluate(ended), timeout_s=10)
    asked = browser.requests()
    assert f"{fleet.url}/console-files/xterm.js" in asked
    assert all(one.startswith((fleet.url, "data:")) for one in asked), asked
    assert browser.complaints() == []


def test_an_instance_that_does_not_run_says_so_in_the_page(browser: Browser, fleet: Fleet) -> None:
    name = fleet.on["h1"].create("still")
    path = f"/api/v1/vms/{name}/console"
    assert processes.wait_until(lambda: fleet.http.get(path).status_code == 400, timeout_s=10)

    browser.open(f"{fleet.url}/console/{name}")

    said = 'document.querySelector("#message span").textContent'
    assert processes.wait_until(lambda: "未在运行" in browser.evaluate(said), timeout_s=10)
