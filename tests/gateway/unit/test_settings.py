from pathlib import Path

import pytest

from services.gateway.fleet.memory_budget import MemoryBudget
from services.gateway.http.server import limits
from services.gateway.settings import MOST_CONNECTIONS, Settings
from shared.platform.settings import SettingsError

EVERYWHERE = "0.0.0.0"
TOKEN = "0123456789abcdef" * 2
NEEDED = {"FLEET_AMQP_URI": "amqp://broker"}


def read(**more: str) -> Settings:
    return Settings.from_env({**NEEDED, **more})


def complaints(**more: str) -> str:
    with pytest.raises(SettingsError) as raised:
        read(**more)
    return str(raised.value)


def test_little_is_needed() -> None:
    settings = read()

    assert settings.http.binds == (("127.0.0.1", 8000),)
    assert settings.http.token is None
    assert settings.database_url == "sqlite:////var/lib/lxdfleet/gateway.db"


def test_the_database_lies_in_the_state_folder() -> None:
    assert read(FLEET_STATE_DIR="/srv/fleet").database_url == "sqlite:////srv/fleet/gateway.db"


def test_the_broker_must_be_named() -> None:
    assert complaints(FLEET_AMQP_URI="") == "FLEET_AMQP_URI is not set"


def test_several_addresses_are_separated_by_commas() -> None:
    binds = read(FLEET_HTTP_BIND="127.0.0.1:8000, [::1]:3000").http.binds

    assert binds == (("127.0.0.1", 8000), ("::1", 3000))


@pytest.mark.parametrize("bind", ["8000", ":8000", "127.0.0.1:", "127.0.0.1:http", "[::1]:70000"])
def test_an_address_without_a_port_is_named(bind: str) -> None:
    assert bind in complaints(FLEET_HTTP_BIND=bind)


@pytest.mark.parametrize("address", [EVERYWHERE, "192.168.1.10", "[::]", "panel.example.org"])
def test_without_a_token_nothing_but_loopback_is_opened(address: str) -> None:
    assert "FLEET_TOKEN_FILE" in complaints(FLEET_HTTP_BIND=f"127.0.0.1:1,{address}:8000")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_loopback_needs_no_token(address: str) -> None:
    assert read(FLEET_HTTP_BIND=f"{address}:8000").http.token is None


def test_a_token_opens_the_network(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    http = read(FLEET_HTTP_BIND=f"{EVERYWHERE}:8000", FLEET_TOKEN_FILE=f"{tmp_path}/token").http

    assert http.token == TOKEN


@pytest.mark.attack
@pytest.mark.parametrize("token", ["secret", TOKEN[:31], " " * 40 + "x"])
def test_a_token_that_could_be_guessed_is_refused(token: str) -> None:
    said = complaints(FLEET_TOKEN=token)

    assert "FLEET_TOKEN" in said
    assert "openssl rand -hex 32" in said
    assert token.strip() not in said.replace("openssl rand -hex 32", "")


@pytest.mark.parametrize("inside", [" ", "\n", "\t", "\x00", "é", "\x7f"])
def test_a_token_that_no_header_could_hold_is_refused(inside: str) -> None:
    assert "FLEET_TOKEN" in complaints(FLEET_TOKEN=f"{TOKEN}{inside}{TOKEN}")


def test_a_file_of_bytes_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff" * 40)

    assert "FLEET_TOKEN_FILE" in complaints(FLEET_TOKEN_FILE=f"{tmp_path}/token")


def test_named_networks_open_the_network() -> None:
    http = read(
        FLEET_HTTP_BIND=f"{EVERYWHERE}:8000", FLEET_OPEN_NETWORKS="10.0.0.0/8, fd00::/8"
    ).http

    assert http.open_networks == ("10.0.0.0/8", "fd00::/8")


@pytest.mark.attack
def test_proxies_are_trusted_by_name_only() -> None:
    assert read().http.trusted_proxies == ()
    assert read(FLEET_TRUSTED_PROXIES="127.0.0.1, fd00::/8").http.trusted_proxies == (
        "127.0.0.1",
        "fd00::/8",
    )


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0", "*"])
def test_nobody_trusts_everybody(everybody: str) -> None:
    assert "FLEET_TRUSTED_PROXIES" in complaints(FLEET_TRUSTED_PROXIES=everybody)


@pytest.mark.parametrize(
    ("said", "path"), [("/lxd", "/lxd"), ("/lxd/", "/lxd"), ("/a/b.c~d", "/a/b.c~d"), ("/", "")]
)
def test_a_proxy_may_have_put_it_under_a_path(said: str, path: str) -> None:
    assert read(FLEET_ROOT_PATH=said).http.root_path == path
    assert read().http.root_path == ""


@pytest.mark.parametrize(
    "said", ["lxd", "//evil", "/lxd//", "/a b", "/a\nb", "/..", "/a/../b", "/é", "https://x/y"]
)
def test_what_is_no_path_is_refused(said: str) -> None:
    assert "FLEET_ROOT_PATH" in complaints(FLEET_ROOT_PATH=said)


@pytest.mark.attack
@pytest.mark.parametrize("said", ["/api", "/console-files", "/docs/x"])
def test_a_path_that_is_our_own_is_refused(said: str) -> None:
    assert "FLEET_ROOT_PATH begins with" in complaints(FLEET_ROOT_PATH=said)


def test_connections_are_bounded_by_default_and_as_said() -> None:
    http = read(FLEET_MAX_CONNECTIONS="50", FLEET_MAX_CONNECTIONS_PER_ADDRESS="5").http

    assert (http.max_connections, http.max_connections_per_address) == (50, 5)
    assert read().http.max_connections == MOST_CONNECTIONS


@pytest.mark.parametrize("number", ["0", "-1", "many", "inf"])
def test_no_connections_at_all_is_no_bound(number: str) -> None:
    assert "FLEET_MAX_WEBSOCKETS" in complaints(FLEET_MAX_WEBSOCKETS=number)


@pytest.mark.attack
def test_a_client_has_20_seconds_unless_the_operator_says_otherwise() -> None:
    shipped, own = limits(read().http), limits(read(FLEET_CLIENT_TIMEOUT_S="3").http)

    assert (shipped.receive_s, shipped.send_s) == (20, 20)
    assert (own.receive_s, own.send_s) == (3, 3)
    assert "FLEET_CLIENT_TIMEOUT_S" in complaints(FLEET_CLIENT_TIMEOUT_S="601")


def test_an_empty_token_file_is_no_way_around_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")

    assert "no token" in complaints(FLEET_TOKEN_FILE=f"{tmp_path}/token")


def test_everything_wrong_is_said_at_once() -> None:
    said = complaints(
        FLEET_AMQP_URI="broker:5672",
        FLEET_DATABASE_URL="mysql://db",
        FLEET_OPEN_NETWORKS="everybody",
        FLEET_SYNC_WAIT_S="soon",
        FLEET_TLS_CERT="cert.pem",
        FLEET_KEEP_KEYS_S="9000000",
    )

    for name in (
        "AMQP_URI",
        "DATABASE_URL",
        "OPEN_NETWORKS",
        "SYNC_WAIT_S",
        "TLS_KEY",
        "KEEP_KEYS_S",
    ):
        assert f"FLEET_{name}" in said


def test_templates_are_shipped_and_the_documents_is_among_them() -> None:
    assert "ubuntu20.04" in {template.id for template in read().templates}


def test_the_operators_own_templates_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("tiny: {alias: busybox, os: busybox}")

    [template] = read(FLEET_TEMPLATES_FILE=str(file)).templates

    assert (template.id, template.os) == ("tiny", "busybox")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it holds no templates: it takes `id: {alias: ..., os: ...}`"),
        ("tiny: {os: x}", "template 'tiny' names no image: it takes alias, fingerprint or remote"),
    ],
)
def test_what_is_wrong_in_the_file_of_templates_is_said(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)

    assert (
        complaints(FLEET_TEMPLATES_FILE=str(file)) == f"FLEET_TEMPLATES_FILE, {file}: {complaint}"
    )


def test_a_file_of_templates_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    missing, broken = tmp_path / "missing.yaml", tmp_path / "broken.yaml"
    broken.write_text("tiny: {")

    assert complaints(FLEET_TEMPLATES_FILE=str(missing)) == (
        f"FLEET_TEMPLATES_FILE, {missing}: it cannot be read: No such file or directory"
    )
    assert f"{broken}: it is no YAML: " in complaints(FLEET_TEMPLATES_FILE=str(broken))


def test_what_is_held_of_one_host_is_reachable() -> None:
    settings = read(FLEET_MAX_INSTANCES_PER_HOST="10", FLEET_MAX_BYTES_PER_HOST="2097152")

    assert settings.budget == MemoryBudget(10, 2097152)
    assert "FLEET_MAX_INSTANCES_PER_HOST" in complaints(FLEET_MAX_INSTANCES_PER_HOST="10001")
    assert "FLEET_MAX_OPERATIONS_PER_HOST" in complaints(FLEET_MAX_OPERATIONS_PER_HOST="1")
