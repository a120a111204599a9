"""A fleet whose hosts' users were made by release 0.1.0, moved over as the guide says it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import amqp
import pytest

from deploy.local import rabbitmq_definitions
from deploy.rabbitmq import add_user
from shared.platform.bus import permissions, topology
from shared.platform.bus.permissions import Permissions
from tests.support.broker import Vhost, host_exchange
from tests.support.caller import Caller, connect
from tests.support.polling import wait_until

from .conftest import StartWorker


def release_0_1_0(host: str) -> Permissions:
    """Return what a host could do then."""
    own = rf"lxd_worker\.{host}\.(calls|stream\.[0-9a-f]+)"
    return Permissions(
        configure=rf"^{own}$",
        write=rf"^(nameko-rpc|fleet\.events|fleet\.streams|fleet\.dead|{own})$",
        read=rf"^(nameko-rpc|fleet\.streams|{own})$",
        topics={
            "nameko-rpc": (rf"^{host}\.reply\.[^.]+$", rf"^lxd_worker\.{host}\.[^.]+$"),
            "fleet.events": (rf"^{host}\.(worker|sampler)\.[^.]+$", "^$"),
            "fleet.streams": (rf"^{host}\.out\.[^.]+$", rf"^{host}\.in\.[^.]+$"),
            "fleet.dead": (rf"^{host}\.[^.]+$", "^$"),
        },
    )


Renew = Callable[[], None]


@pytest.fixture
def host(vhost: Vhost) -> str:
    """A host whose user's name is its own on the shared node."""
    return f"{vhost.name}-h1"


@pytest.fixture
def old(vhost: Vhost, host: str) -> str:
    """The address of a host's user as release 0.1.0 made it, on a broker that it had declared."""
    with closing(connect(vhost.uri)) as connection:
        channel = connection.channel()
        for name in ("nameko-rpc", "fleet.events", "fleet.streams", "fleet.dead"):
            channel.exchange_declare(name, "topic", durable=True, auto_delete=False)
        letters = {"x-dead-letter-exchange": "fleet.dead"}
        channel.queue_declare("fleet.outcomes", durable=True, auto_delete=False, arguments=letters)
        channel.queue_bind("fleet.outcomes", "fleet.events", "*.worker.operation")
    topology.declare(vhost.uri)
    user = rabbitmq_definitions.User(host, secrets.token_urlsafe(12), release_0_1_0(host))
    return vhost.broker.add(vhost.name, user)


@pytest.fixture
def renew(
    vhost: Vhost, host: str, old: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Renew:
    """Does what the guide says for the user of a host."""

    def renew_host() -> None:
        file = tmp_path / "h1.uri"
        file.write_text(f"{old}\n")
        add_user.main(["host", host, "--address", old, "--uri-file", str(file)])
        printed = json.loads(capsys.readouterr().out)
        vhost.broker.http.post("/definitions", json=printed).raise_for_status()

    return renew_host


def test_a_worker_whose_user_is_old_says_so_each_time_and_serves_once_it_is_renewed(
    vhost: Vhost, host: str, old: str, renew: Renew, start_worker: StartWorker
) -> None:
    worker = start_worker(host, old)
    worker.wait_for_output("add_user")

    renew()

    with Caller(vhost.uri, lambda host: host_exchange(host, old)) as gateway:
        worker.wait_until_it_answers(gateway)
        assert gateway.call(host, "echo", "renewed").result == "renewed"

    password = topology.password_of(old)
    vhost.broker.add(vhost.name, rabbitmq_definitions.User(host, password, release_0_1_0(host)))

    def refused_twice() -> bool:
        vhost.close_connections()  # those that the node's management knows by then
        return worker.output.count("add_user") >= 2

    wait_until(refused_twice, within_s=20, every_s=0.2, seen=lambda: worker.output)


@pytest.mark.attack
def test_a_user_that_is_not_renewed_reaches_no_other_host(
    vhost: Vhost, host: str, old: str, start_worker: StartWorker
) -> None:
    victim = start_worker("h2", vhost.host_uri("h2"))
    with Caller(vhost.uri, vhost.host_exchange) as gateway, closing(connect(old)) as attacker:
        victim.wait_until_it_answers(gateway)
        channel = attacker.channel()
        attack = amqp.Message(
            '{"args": ["attack"], "kwargs": {}}',
            content_type="application/json",
            application_headers={"CC": ["lxd_worker.h2.echo"]},
        )
        for exchange, key in [
            ("nameko-rpc", f"{host}.reply.x"),
            ("fleet.events", f"{host}.worker.x"),
        ]:
            refused_or_not(channel, attack, exchange, key)

        assert gateway.call("h2", "echo", "after").result == "after"
    assert "attack" not in victim.output


def refused_or_not(channel: Any, message: amqp.Message, exchange: str, key: str) -> None:
    """Publish; RabbitMQ 4 refuses the keys in headers."""
    try:
        channel.basic_publish_confirm(message, exchange, key)
    except amqp.AccessRefused:
        return


def test_a_renewed_user_has_the_rights_and_limits_of_this_release_only(
    vhost: Vhost, host: str, old: str, renew: Renew
) -> None:
    renew()

    with closing(connect(old)) as connection:
        for exchange, key in [
            ("nameko-rpc", f"{host}.reply.x"),
            ("fleet.events", f"{host}.worker.heartbeat"),
            ("fleet.streams", f"{host}.out.0"),
            ("fleet.dead", f"{host}.unreadable"),
        ]:
            with pytest.raises(amqp.AccessRefused):
                connection.channel().basic_publish_confirm(amqp.Message("x"), exchange, key)
    (limits,) = vhost.broker.http.get(f"/user-limits/{host}").json()
    assert limits["value"]["max-connections"] == permissions.HOST_CONNECTIONS
