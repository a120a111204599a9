"""What a host that is taken over can do to the gateway and to another host: nothing.

Each attack runs on a real broker, against a gateway that is a process of its own.
"""

from __future__ import annotations

import json
import zlib

import amqp
import pytest

from shared.contracts.codec import encode
from shared.contracts.events import OperationChanged
from tests.support.builders import an_instance, an_inventory, an_operation
from tests.support.raw_message import POISON, RawMessage, poison, short

from .conftest import AFTER_A_FLOOD_S, ATTACKER, NEIGHBOUR, Attacker, Scene

pytestmark = pytest.mark.attack

MIB = 2**20
OUTCOME = encode(OperationChanged(operation=an_operation("op-x", host=ATTACKER)))
NESTED = b'{"operation":' + b"[" * 100_000
# Under which keys a host may write to its exchange.
KEYS = [
    "h1.worker.operation",
    "h1.worker.heartbeat",
    "h1.sampler.sample",
    "h1.reply.{gateway}",
    "h1.out.00000000000000000000000000000000",
]


def publish_everywhere(attacker: Attacker, message: amqp.Message) -> None:
    """Publish under every key that a host may write; the broker may refuse it."""
    for key in KEYS:
        attacker.publish(attacker.exchange, key.format(gateway=attacker.gateway), message)


@pytest.mark.parametrize("name", POISON)
def test_properties_that_cannot_be_decoded_end_no_connection(
    scene: Scene, attacker: Attacker, name: str
) -> None:
    publish_everywhere(attacker, poison(name, OUTCOME, delivery_mode=b"\x02"))

    scene.assert_unharmed()


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_a_copy_by_header_reaches_no_other_host(
    scene: Scene, attacker: Attacker, header: str
) -> None:
    other = ["lxd_worker.h2.submit", "h2.reply.x", "h2.worker.heartbeat", "h2.worker.operation"]

    publish_everywhere(
        attacker,
        amqp.Message(OUTCOME, content_type="application/json", application_headers={header: other}),
    )

    scene.assert_unharmed()


def test_outcomes_that_are_nested_deeply_jam_nothing(scene: Scene, attacker: Attacker) -> None:
    channel = attacker.channel()
    for _ in range(200):
        message = amqp.Message(NESTED, content_type="application/json", delivery_mode=2)
        channel.basic_publish_confirm(message, attacker.exchange, f"{ATTACKER}.worker.operation")

    scene.assert_unharmed()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00" * 1000, id="zeroes"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"epoch": 1e400}', id="an infinite number"),
        pytest.param(b'{"epoch": ' + b"9" * 100_000 + b"}", id="a long number"),
        pytest.param(NESTED, id="nested deeply"),
        pytest.param(b'{"' + b"k" * (15 * MIB) + b'": 1}', id="a long name"),
    ],
)
def test_a_body_that_is_no_message_harms_nobody(
    scene: Scene, attacker: Attacker, body: bytes
) -> None:
    publish_everywhere(attacker, amqp.Message(body, content_type="application/json"))

    scene.assert_unharmed()


def test_a_compressed_body_is_not_inflated(scene: Scene, attacker: Attacker) -> None:
    before = scene.resident_bytes()
    bomb = zlib.compress(b" " * (500 * MIB))
    headers = {"compression": "application/x-gzip"}

    publish_everywhere(
        attacker,
        amqp.Message(bomb, content_type="application/json", application_headers=headers),
    )

    scene.assert_unharmed()
    assert scene.resident_bytes() - before < 100 * MIB


def test_routing_keys_of_any_bytes_end_no_connection(scene: Scene, attacker: Attacker) -> None:
    for key in (b"h1.worker.\xff", b"h1.worker.\x00", b"h1.worker.heartbeat\n", b"h1.sampler.\xc3"):
        attacker.publish(attacker.exchange, key.decode("latin-1"), RawMessage(OUTCOME))
        attacker.publish(
            attacker.exchange, key.decode(errors="surrogateescape"), RawMessage(OUTCOME)
        )

    scene.assert_unharmed()


def shows(scene: Scene, name: str) -> bool:
    """Whether an instance of the attacker's host is listed."""
    listed = scene.http.get("/api/instances", params={"host": ATTACKER})
    return listed.status_code == 200 and name in [each["name"] for each in listed.json()]


def test_claims_to_what_another_host_runs_leave_it_reachable(
    scene: Scene, attacker: Attacker
) -> None:
    copies = [
        an_instance("web", uuid=f"uuid-web-on-{NEIGHBOUR}"),
        an_instance("other", uuid=f"uuid-web-on-{NEIGHBOUR}"),
    ]

    attacker.tell("worker.inventory", an_inventory(*copies, epoch=attacker.epoch))
    scene.until(lambda: shows(scene, "other"), within_s=AFTER_A_FLOOD_S)

    answer = scene.http.get(f"/api/v1/vms/vm-uuid-web-on-{NEIGHBOUR}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["host"] == NEIGHBOUR
    scene.assert_unharmed()


@pytest.mark.parametrize(
    "created_at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "soon", "2026-02-30T25:61:61Z"]
)
def test_a_date_that_cannot_be_shown_is_not_shown(
    scene: Scene, attacker: Attacker, created_at: str
) -> None:
    name = f"odd-{attacker.epoch}"
    odd = an_instance(name, created_at=created_at)

    attacker.tell("worker.inventory", an_inventory(odd, epoch=attacker.epoch))
    scene.until(lambda: shows(scene, name), within_s=AFTER_A_FLOOD_S)

    for path in ("/api/instances", "/api/v1/vms", "/metrics", "/api/hosts"):
        assert scene.http.get(path).status_code == 200, path
    scene.assert_unharmed()


def test_what_large_inventories_take_up_is_bounded(scene: Scene, attacker: Attacker) -> None:
    before = scene.resident_bytes()
    text = "x" * 8000
    for number in range(40):
        listed = [
            an_instance(f"i{number}-{place}", description=text, revision=number + 1)
            for place in range(1800)
        ]
        inventory = an_inventory(*listed, epoch=attacker.epoch, sequence=number + 1)
        attacker.tell("worker.inventory", inventory)

    scene.assert_unharmed()

    assert scene.resident_bytes() - before < 300 * MIB
    assert len(scene.http.get("/api/instances").content) < 50 * MIB


def test_operations_that_a_host_makes_up_take_up_a_bounded_room(
    scene: Scene, attacker: Attacker
) -> None:
    channel = attacker.channel()
    for number in range(3000):
        made_up = an_operation(f"made-up-{number}", host=ATTACKER, sequence=number + 1)
        message = amqp.Message(
            encode(OperationChanged(operation=made_up)), content_type="application/json"
        )
        channel.basic_publish(message, attacker.exchange, f"{ATTACKER}.worker.operation")

    scene.assert_unharmed()


def test_answers_to_calls_that_nobody_made_hold_up_no_call(
    scene: Scene, attacker: Attacker
) -> None:
    channel = attacker.channel()
    body = json.dumps({"result": "x" * 10_000, "error": None})
    for _ in range(3000):
        message = amqp.Message(body, content_type="application/json", correlation_id="nobody's")
        channel.basic_publish(message, attacker.exchange, f"{ATTACKER}.reply.{attacker.gateway}")

    scene.assert_unharmed()


def test_a_host_that_sends_odd_types_with_good_bodies_is_read_or_left_out(
    scene: Scene, attacker: Attacker
) -> None:
    for kind in (b"text/html", b"application/x-python-serialize", b"application/json; charset=x"):
        message = RawMessage(OUTCOME, content_type=short(kind))
        attacker.publish(attacker.exchange, f"{ATTACKER}.worker.operation", message)

    scene.assert_unharmed()
