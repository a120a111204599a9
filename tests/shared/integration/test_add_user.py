from __future__ import annotations

import json
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import amqp
import pytest

from deploy.rabbitmq import add_user
from shared.platform.bus import topology
from tests.support.broker import Broker, Vhost
from tests.support.caller import connect


def test_a_host_made_by_the_tool_can_log_in_and_do_no_more_than_a_host(
    broker: Broker, vhost: Vhost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topology.declare(vhost.uri)
    file = tmp_path / "h1.uri"
    address = f"amqp://127.0.0.1:{broker.node.ports.amqp}/{vhost.name}"

    add_user.main(["host", "h1", "--address", address, "--uri-file", str(file)])
    printed = capsys.readouterr().out
    broker.http.post("/definitions", json=json.loads(printed)).raise_for_status()

    uri = file.read_text().strip()
    with closing(connect(uri)) as connection:
        channel = connection.channel()
        password = topology.password_of(uri)
        exchange = topology.host_exchange("h1", password)
        channel.basic_publish_confirm(amqp.Message(b"{}"), exchange, "h1.worker.heartbeat")
        with pytest.raises(amqp.AccessRefused):
            channel.basic_publish_confirm(amqp.Message(b"{}"), exchange, "h2.worker.heartbeat")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert uri.split(":")[2].split("@")[0] not in printed
    broker.http.delete("/users/h1").raise_for_status()


def test_the_snapshots_service_gets_its_own_user_with_fewer_rights_than_a_gateway(
    broker: Broker, vhost: Vhost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topology.declare(vhost.uri)
    file = tmp_path / "snapshots.uri"
    address = f"amqp://127.0.0.1:{broker.node.ports.amqp}/{vhost.name}"

    add_user.main(["snapshots", "--address", address, "--uri-file", str(file)])
    printed = json.loads(capsys.readouterr().out)
    broker.http.post("/definitions", json=printed).raise_for_status()

    try:
        with closing(connect(file.read_text().strip())) as connection:
            call = amqp.Message(b"{}")
            channel = connection.channel()
            channel.basic_publish_confirm(call, "fleet.calls", "lxd_worker.h1.set_plan")
            with pytest.raises(amqp.AccessRefused):
                channel.basic_publish_confirm(call, "fleet.calls", "lxd_worker.h1.submit")
    finally:
        broker.http.delete("/users/snapshots").raise_for_status()


def definitions_of(
    file: Path, capsys: pytest.CaptureFixture[str], host: str = "h1"
) -> dict[str, Any]:
    add_user.main(["host", host, "--address", "amqp://b:5672/", "--uri-file", str(file)])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_an_address_that_is_there_is_kept_with_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "h1.uri"
    first = definitions_of(file, capsys)
    address = file.read_text()

    second = definitions_of(file, capsys)

    assert file.read_text() == address
    assert second["permissions"] == first["permissions"]
    assert second["exchanges"] == first["exchanges"]


@pytest.mark.attack
def test_who_had_the_password_before_can_do_nothing_once_the_user_was_deleted_and_made_anew(
    vhost: Vhost,
) -> None:
    topology.declare(vhost.uri)
    old_uri, old = vhost.host_uri("h1"), vhost.host_exchange("h1")
    beat = amqp.Message("x")
    with closing(connect(old_uri)) as before:
        channel = before.channel()
        channel.basic_publish_confirm(beat, old, "h1.worker.heartbeat")

        vhost.broker.http.delete(f"/users/{vhost.name}-h1").raise_for_status()
        uri = vhost.renewed_host_uri("h1")

        with pytest.raises(amqp.ConnectionForced):
            channel.basic_publish_confirm(beat, old, "h1.worker.heartbeat")
    with pytest.raises(amqp.AccessRefused):
        connect(old_uri)
    with closing(connect(uri)) as now:
        now.channel().basic_publish_confirm(beat, vhost.host_exchange("h1"), "h1.worker.heartbeat")
        with pytest.raises(amqp.AccessRefused):
            now.channel().basic_publish_confirm(beat, old, "h1.worker.heartbeat")


@pytest.mark.parametrize("content", ["in use", "amqp://h2:secret@b:5672/", "amqp://h1@b:5672/"])
def test_a_file_that_holds_something_else_is_refused_and_left_alone(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "h1.uri"
    file.write_text(content)

    with pytest.raises(SystemExit):
        add_user.main(["host", "h1", "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert file.read_text() == content


@pytest.mark.parametrize(
    "role",
    [["host"], ["host", "a.b"], ["gateway", "h1"], ["snapshots", "h1"], ["host", "snapshots"]],
)
def test_a_role_that_makes_no_sense_is_refused_before_anything_is_written(
    role: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "x.uri"

    with pytest.raises(SystemExit):
        add_user.main([*role, "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert not file.exists()
