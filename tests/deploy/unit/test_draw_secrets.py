import json
from pathlib import Path
from typing import Any

import pytest

from deploy.docker import draw_secrets
from deploy.local import credentials
from deploy.local.rabbitmq_definitions import User


@pytest.fixture
def users(tmp_path: Path) -> list[User]:
    return credentials.users(tmp_path, ["h1"])


def definitions(tmp_path: Path, users: list[User]) -> Any:
    file = tmp_path / "definitions.json"
    draw_secrets.write_definitions(file, users)
    return json.loads(file.read_text())


def test_the_broker_learns_of_the_central_services_and_the_host(
    tmp_path: Path, users: list[User]
) -> None:
    written = definitions(tmp_path, users)

    assert [vhost["name"] for vhost in written["vhosts"]] == ["fleet"]
    assert [user["name"] for user in written["users"]] == ["central", "snapshots", "host-h1"]


def test_the_broker_is_told_no_password(tmp_path: Path, users: list[User]) -> None:
    written = json.dumps(definitions(tmp_path, users))

    assert not [user.password for user in users if user.password in written]


def test_each_service_finds_the_broker_from_its_own_network(
    tmp_path: Path, users: list[User]
) -> None:
    central, snapshots, host = users

    drawn = draw_secrets.secrets_of(tmp_path, users, 15672)

    texts = {secret.file: secret.text for secret in drawn}
    assert texts["gateway/amqp-uri"] == f"amqp://central:{central.password}@broker:5672/fleet"
    assert texts["snapshots/amqp-uri"] == (
        f"amqp://snapshots:{snapshots.password}@broker:5672/fleet"
    )
    assert texts["host/amqp-uri"] == f"amqp://host-h1:{host.password}@127.0.0.1:15672/fleet"


def test_no_container_of_a_host_is_shown_the_central_services_secrets(
    tmp_path: Path, users: list[User]
) -> None:
    central, snapshots, _ = users

    drawn = draw_secrets.secrets_of(tmp_path, users, 5672)

    of_host = [secret.text for secret in drawn if secret.file.startswith("host/")]
    for user in (central, snapshots):
        assert not [text for text in of_host if user.password in text]


def test_prometheus_knocks_with_the_gateways_token(tmp_path: Path, users: list[User]) -> None:
    drawn = draw_secrets.secrets_of(tmp_path, users, 5672)

    texts = {secret.file: secret.text for secret in drawn}
    assert texts["prometheus/token"] == texts["gateway/token"]
    assert texts["grafana/admin-password"] != texts["gateway/token"]


def test_a_wrong_host_id_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEET_HOST", "a.b")
    monkeypatch.setattr("sys.argv", ["draw_secrets", str(tmp_path)])

    code = draw_secrets.main()

    assert code == 2
    assert "FLEET_HOST" in capsys.readouterr().err
