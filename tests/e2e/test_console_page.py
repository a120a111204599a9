"""A console in a real browser: typed, shown, resized, and whole under a flood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.local import processes
from deploy.local.services import loopback_binds
from services.gateway.http.console_page import FILES
from tests.support.broker import Vhost
from tests.support.browser import complaints
from tests.support.daemons import missing
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import OwnLxd
from tests.support.polling import wait_until

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


def await_text(page: Page, text: str) -> None:
    page.wait_for_function(f"text => {SCREEN}.includes(text)", arg=text)


def test_a_shell_can_be_used_in_a_browser(page: Page, fleet: Fleet) -> None:
    name = fleet.on["h1"].launch("page")
    path = f"/api/v1/vms/{name}/console"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)

    page.goto(f"{fleet.url}/console/{name}")
    await_text(page, "~ #")

    page.keyboard.type("echo $((6 * 7)) in $(hostname)\n")
    await_text(page, f"42 in {name}")

    page.keyboard.type("stty size\n")
    await_text(page, page.evaluate("`${terminal.rows} ${terminal.cols}`"))

    page.keyboard.type("seq 1 200000 | cat; echo all''done\n")
    await_text(page, "199999\n200000\nalldone")

    page.keyboard.type("exit 7\n")
    expect(page.locator("#message")).to_contain_text("7")
    asked = [request.url for request in page.requests()]
    assert f"{fleet.url}/console-files/xterm.js" in asked
    assert all(url.startswith(fleet.url) for url in asked), asked
    assert complaints(page) == []


def test_an_instance_that_does_not_run_says_so_in_the_page(page: Page, fleet: Fleet) -> None:
    name = fleet.on["h1"].create("still")
    path = f"/api/v1/vms/{name}/console"
    wait_until(lambda: fleet.http.get(path).status_code == 400, within_s=10)

    page.goto(f"{fleet.url}/console/{name}")

    expect(page.locator("#message span").first).to_contain_text("未在运行")
