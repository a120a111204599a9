"""A small fleet as the VM API v1 is asked about it."""

from __future__ import annotations

import httpx

from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view

WEB = a_view("web", uuid="u1", display_name="Web Server", description="the shop")
DB = a_view("db", uuid="u2", status="Stopped", labels={"env": "prod"}, host="h2")
WEB_TOO = a_view("web", uuid="u3", type="virtual-machine", project="p", host="h2")


def gateway_of_vms() -> FakeGateway:
    """Return a gateway of hosts h1 and h2 with these three instances."""
    gateway = FakeGateway()
    gateway.fleet.known_hosts = [a_host_view("h1"), a_host_view("h2")]
    gateway.fleet.known_instances = [WEB, DB, WEB_TOO]
    return gateway


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an error."""
    return answer.status_code, answer.json()["error"]["code"]
