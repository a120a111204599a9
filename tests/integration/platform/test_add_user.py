from __future__ import annotations

import json
import stat
from contextlib import closing
from pathlib import Path

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


def test_an_existing_address_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "h1.uri"
    file.write_text("in use")

    with pytest.raises(FileExistsError):
        add_user.main(["host", "h1", "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert file.read_text() == "in use"


@pytest.mark.parametrize("role", [["host"], ["host", "a.b"], ["gateway", "h1"]])
def test_a_role_that_makes_no_sense_is_refused_before_anything_is_written(
    role: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "x.uri"

    with pytest.raises(SystemExit):
        add_user.main([*role, "--address", "amqp://b:5672/", "--uri-file", str(file)])

    assert not file.exists()
