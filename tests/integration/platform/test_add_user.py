from __future__ import annotations

import json
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import amqp
import pytest

from deploy.rabbitmq import add_user
from shared.platform import topology
from shared.testing.broker import Broker, Vhost
from shared.testing.caller import connect


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
        channel.queue_declare(topology.calls_queue("h1", password))
        with pytest.raises(amqp.AccessRefused):
            channel.queue_declare(topology.calls_queue("h2", password))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert uri.split(":")[2].split("@")[0] not in printed
    broker.http.delete("/users/h1").raise_for_status()


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


@pytest.mark.parametrize("content", ["in use", "amqp://h2:secret@b:5672/", "amqp://h1@b:5672/"])
def test_a_file_that_holds_something_else_is_refused_and_left_alone(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "h1.uri"
    file.write_text(content)

    with pytest.raises(SystemExit):
        add_user.main(["host", "h1", "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert file.read_text() == content


@pytest.mark.parametrize("role", [["host"], ["host", "a.b"], ["gateway", "h1"]])
def test_a_role_that_makes_no_sense_is_refused_before_anything_is_written(
    role: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "x.uri"

    with pytest.raises(SystemExit):
        add_user.main([*role, "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert not file.exists()
