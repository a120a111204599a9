"""Messages that a host made so that they break their reader, over a real broker."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import amqp
import pytest

from services.gateway.wiring import Parts
from shared.contracts.codec import encode
from shared.contracts.events import MAX_BYTES, OperationChanged
from shared.contracts.operations import State
from tests.support.broker import Vhost
from tests.support.builders import an_operation
from tests.support.caller import connect
from tests.support.dead_letters import dead_letter
from tests.support.host import WireHost
from tests.support.polling import eventually
from tests.support.raw_message import POISON, RawMessage, poison

pytestmark = pytest.mark.attack


@pytest.fixture
def evil(hosts: tuple[WireHost, WireHost], vhost: Vhost) -> Iterator[Any]:
    """A channel with the credentials of h1, through a client that encodes what it is told."""
    with connect(vhost.host_uri("h1")) as connection:
        yield connection.channel()


Publish = Callable[[amqp.Message, str | bytes], None]


@pytest.fixture
def publish(evil: Any, vhost: Vhost) -> Publish:
    """Publishes as h1, under a key."""
    exchange = vhost.host_exchange("h1")
    return lambda message, key: evil.basic_publish(message, exchange, key)


async def still_works(gateway: Parts, neighbour: WireHost) -> None:
    """Fail unless a neighbour's next outcome is kept, and no connection was lost."""
    await neighbour.publish_operation(an_operation("of-h2", host="h2", state=State.DONE))

    async def kept() -> bool:
        return await gateway.store.get("of-h2") is not None

    await eventually(kept)
    assert "lxdfleet_broker_reconnects_total 0.0" in gateway.telemetry.text().decode()


def dead_letters(gateway: Parts, host: str) -> float:
    """Return how many messages of a host could not be read."""
    line = f'lxdfleet_gateway_dead_letters_total{{host="{host}"}} '
    text = gateway.telemetry.text().decode()
    return float(text.partition(line)[2].partition("\n")[0] or 0)


def an_outcome(operation_id: str = "of-h1", **more: Any) -> bytes:
    return encode(OperationChanged(operation=an_operation(operation_id, **more)))


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("key", ["h1.worker.operation", "h1.worker.heartbeat"])
async def test_properties_that_cannot_be_decoded_cost_only_the_message(
    gateway: Parts, hosts: tuple[WireHost, WireHost], publish: Publish, name: str, key: str
) -> None:
    for _ in range(3):
        publish(poison(name, an_outcome(), delivery_mode=b"\x02"), key)

    await still_works(gateway, hosts[1])


async def test_what_cannot_be_decoded_is_a_dead_letter_that_says_so(
    gateway: Parts, hosts: tuple[WireHost, WireHost], publish: Publish, vhost: Vhost
) -> None:
    message = poison("a timestamp of 2^63", an_outcome(), delivery_mode=b"\x02")
    publish(message, "h1.worker.operation")

    buried = await dead_letter(vhost)

    assert "cannot be decoded" in buried.headers["fleet-reason"]
    assert buried.headers["fleet-key"] == "h1.worker.operation"
    assert buried.routing_key == "h1.unreadable"
    assert dead_letters(gateway, "h1") == 1


async def test_a_routing_key_may_be_any_bytes(
    gateway: Parts, hosts: tuple[WireHost, WireHost], vhost: Vhost
) -> None:
    # A host itself may not use such keys.
    with closing(connect(vhost.uri)) as connection:
        for key in (b"h1.worker.\xff", b"h1.worker.\xc3\xc3", b"h1.worker." + b"\xfe" * 245):
            exchange = vhost.host_exchange("h1")
            connection.channel().basic_publish(RawMessage(b"{}"), exchange, key)

    await eventually(lambda: dead_letters(gateway, "h1") == 3)
    await still_works(gateway, hosts[1])


NESTED = b"[" * 100_000
JAMS = {
    "nested": b'{"operation": ' + NESTED,
    "nested in an unknown field": b'{"operation": {"x": ' + NESTED,
    "a number of a million digits": b'{"operation": {"sequence": ' + b"9" * 10**5 + b"}}",
    "no UTF-8": b'{"operation": {"instance": "\xff"}}',
    "half a surrogate pair": an_outcome(instance="web").replace(b'"web"', b'"\\ud800"'),
    "NUL": an_outcome(instance="w\0b"),
    "too long": an_outcome(instance="x" * 10_000),
    "too large": b'{"operation": {' + b" " * MAX_BYTES[OperationChanged] + b"}}",
}


@pytest.mark.parametrize("body", JAMS.values(), ids=list(JAMS))
async def test_outcomes_that_cannot_be_kept_jam_nothing(
    gateway: Parts, hosts: tuple[WireHost, WireHost], publish: Publish, body: bytes
) -> None:
    # The broker refuses what the queue has no room for.
    times = min(60, 8 * 2**20 // len(body))
    for _ in range(times):
        publish(RawMessage(body, delivery_mode=b"\x02"), "h1.worker.operation")

    await still_works(gateway, hosts[1])
    await eventually(lambda: dead_letters(gateway, "h1") == times, within_s=20)


async def test_what_the_gateway_itself_fails_on_is_a_dead_letter_too(
    gateway: Parts,
    hosts: tuple[WireHost, WireHost],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(gateway.consumers, "_on_outcome", broken)
    for number in range(60):
        await hosts[0].publish_operation(an_operation(f"op-{number}"))

    await eventually(lambda: dead_letters(gateway, "h1") == 60, within_s=20)
    assert "RecursionError" in caplog.text
    monkeypatch.undo()
    await still_works(gateway, hosts[1])


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ({"content_type": "application/x-python-serialize"}, "not JSON"),
        ({"content_encoding": "latin-1"}, "not UTF-8"),
        ({"application_headers": {"compression": "application/x-gzip"}}, "compressed"),
    ],
)
async def test_nothing_but_json_in_utf_8_is_read(
    gateway: Parts,
    hosts: tuple[WireHost, WireHost],
    publish: Publish,
    vhost: Vhost,
    encoding: dict[str, Any],
    reason: str,
) -> None:
    publish(amqp.Message(an_outcome(), **encoding), "h1.worker.operation")

    buried = await dead_letter(vhost)

    assert reason in buried.headers["fleet-reason"]
    assert await gateway.store.get("of-h1") is None
