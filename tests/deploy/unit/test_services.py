from pathlib import Path

import pytest

from deploy.local import services
from deploy.local.services import LocalHost, Service

HOSTS = [LocalHost("h1", Path("/one/unix.socket")), LocalHost("h2", Path("/two/unix.socket"))]
URIS = {
    "central": Path("/c"),
    "snapshots": Path("/s"),
    "host-h1": Path("/h1"),
    "host-h2": Path("/h2"),
}


def listed(env: dict[str, str]) -> dict[str, Service]:
    return {one.name: one for one in services.services(HOSTS, Path("/var/x"), URIS, env)}


def test_a_fleet_has_two_central_services_and_two_for_each_host() -> None:
    names = set(listed({}))

    of_hosts = {"worker-h1", "sampler-h1", "worker-h2", "sampler-h2"}
    assert names == {"gateway", "snapshots"} | of_hosts


def test_the_snapshots_service_has_a_user_of_its_own() -> None:
    snapshots = listed({"FLEET_SNAPSHOTS_AT_ONCE": "2"})["snapshots"]

    assert snapshots.module == "services.snapshots"
    assert snapshots.env == {
        "FLEET_SNAPSHOTS_AT_ONCE": "2",
        "FLEET_STATE_DIR": "/var/x/snapshots",
        "FLEET_AMQP_URI_FILE": "/s",
    }


def test_a_host_is_given_its_own_user_and_daemon_and_state() -> None:
    worker = listed({})["worker-h2"]

    assert worker.module == "services.lxd_worker"
    assert worker.env == {
        "FLEET_STATE_DIR": "/var/x/worker-h2",
        "FLEET_AMQP_URI_FILE": "/h2",
        "FLEET_HOST": "h2",
        "FLEET_LXD_SOCKET": "/two/unix.socket",
    }


def test_the_address_of_the_central_services_reaches_no_host() -> None:
    secret = {"FLEET_AMQP_URI": "amqp://central:secret@broker", "FLEET_AMQP_URI_FILE": "/central"}

    for service in listed(secret).values():
        assert "FLEET_AMQP_URI" not in service.env
        assert service.env["FLEET_AMQP_URI_FILE"] != "/central"


def test_other_settings_are_passed_on() -> None:
    gateway = listed({"FLEET_TOKEN_FILE": "/token", "FLEET_HTTP_BIND": "0.0.0.0:80"})["gateway"]

    assert gateway.env["FLEET_TOKEN_FILE"] == "/token"
    assert gateway.env["FLEET_HTTP_BIND"] == "0.0.0.0:80"


def test_localhost_is_served_by_either_protocol() -> None:
    assert services.loopback_binds(8000, ipv6=True) == "127.0.0.1:8000,[::1]:8000"
    assert services.loopback_binds(8000, ipv6=False) == "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("binds", "url"),
    [
        ("127.0.0.1:8000,[::1]:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("fleet.example:81", "http://fleet.example:81"),
    ],
)
def test_the_url_leads_to_the_first_address(binds: str, url: str) -> None:
    assert services.url(binds) == url
