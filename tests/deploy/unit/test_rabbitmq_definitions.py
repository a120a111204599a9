import base64
import hashlib

from deploy.local import rabbitmq_definitions as definitions
from shared.platform.bus.permissions import CENTRAL_PERMISSIONS, host_permissions
from shared.platform.bus.topology import host_exchange


def test_a_password_is_stored_as_rabbitmq_checks_it() -> None:
    stored = base64.b64decode(definitions.password_hash("secret", salt=b"salt"))

    assert stored == b"salt" + hashlib.sha256(b"saltsecret").digest()


def test_two_hashes_of_one_password_differ() -> None:
    assert definitions.password_hash("secret") != definitions.password_hash("secret")


def test_definitions_hold_no_password() -> None:
    user = definitions.User("central", "open sesame", CENTRAL_PERMISSIONS)

    assert "open sesame" not in str(definitions.of([user]))


def test_a_host_is_held_to_its_topics() -> None:
    user = definitions.User("host-h1", "secret", host_permissions("h1", "secret"))

    topics = definitions.of([user], vhost="v")["topic_permissions"]

    assert {line["exchange"] for line in topics} == {host_exchange("h1", "secret")}
    assert {(line["user"], line["vhost"]) for line in topics} == {("host-h1", "v")}


def test_with_a_host_comes_its_exchange_and_its_heartbeats_where_all_are_read() -> None:
    host = definitions.User("host-h1", "secret", host_permissions("h1", "secret"))
    central = definitions.User("central", "secret", CENTRAL_PERMISSIONS)

    defined = definitions.of([central, host], vhost="v")

    assert [exchange["name"] for exchange in defined["exchanges"]] == [
        "fleet.heartbeats",
        host_exchange("h1", "secret"),
    ]
    (binding,) = defined["bindings"]
    assert binding["source"] == host_exchange("h1", "secret")
    assert binding["destination"] == "fleet.heartbeats"
    assert binding["routing_key"] == "h1.worker.heartbeat"
    assert not definitions.of([central])["exchanges"]
