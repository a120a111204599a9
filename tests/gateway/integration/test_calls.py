"""Orders to workers over a real broker, and the answers that count."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from services.gateway.operations.store import OperationFilter
from services.gateway.wiring import Parts
from shared.contracts.errors import HostUnreachable, InstanceReplaced
from shared.contracts.operations import State
from shared.platform.logs import correlation_id
from tests.support.broker import Vhost
from tests.support.builders import an_instance
from tests.support.core import submit
from tests.support.host import WireHost
from tests.support.polling import eventually

from .conftest import has_accepted, has_read


@pytest.fixture
async def host(gateway: Parts, vhost: Vhost) -> AsyncIterator[WireHost]:
    """Host h1 with its own credentials and a running `web`, in the gateway's view."""
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(gateway))
        yield host


async def test_a_change_goes_to_the_worker_and_its_outcome_comes_back(
    gateway: Parts, host: WireHost
) -> None:
    operation = await submit(gateway)
    after = an_instance(revision=9, status="Stopped")

    waiting = asyncio.create_task(gateway.operations.wait(operation.operation_id, 5))
    await host.publish_operation(
        host.journal.finish(operation.operation_id, after=after, after_epoch=1)
    )

    assert operation.state is State.ACCEPTED
    assert (await waiting).state is State.DONE
    assert gateway.fleet.instance("web").instance.status == "Stopped"


async def test_a_call_is_what_nameko_expects(gateway: Parts, host: WireHost) -> None:
    correlation_id.set("request-7")

    await submit(gateway)

    call = next(call for call in host.calls if call.routing_key == "lxd_worker.h1.submit")
    assert (call.content_type, call.content_encoding) == ("application/json", "utf-8")
    assert call.headers["nameko.correlation_id"] == "request-7"
    assert str(call.reply_to).startswith("h1.reply.")
    assert set(json.loads(call.body)) == {"args", "kwargs"}


async def test_what_a_worker_raises_is_raised_here(gateway: Parts, host: WireHost) -> None:
    host.journal.refusal = InstanceReplaced("web")

    with pytest.raises(InstanceReplaced) as raised:
        await submit(gateway)

    assert raised.value.name == "web"


async def test_a_host_that_has_just_gone_is_unreachable_at_once(
    gateway: Parts, host: WireHost
) -> None:
    await host.__aexit__()

    began = time.monotonic()
    with pytest.raises(HostUnreachable):
        await submit(gateway)

    assert time.monotonic() - began < 5


async def test_a_lost_answer_is_found_out_later_and_nothing_runs_twice(
    gateway: Parts, host: WireHost
) -> None:
    host.silent = True

    operation = await submit(gateway)
    host.silent = False

    assert operation.state is State.SUBMITTING
    await eventually(lambda: has_accepted(gateway, operation))
    assert len(host.journal.submissions) == 1


async def test_an_answer_of_another_host_is_not_taken(
    gateway: Parts, host: WireHost, vhost: Vhost
) -> None:
    host.silent = True
    submitting = asyncio.create_task(submit(gateway))
    await eventually(lambda: submits(host))
    (call,) = submits(host)

    connection = await aio_pika.connect(vhost.host_uri("h2"))
    channel = await connection.channel()
    exchange = await channel.get_exchange(vhost.host_exchange("h2"))
    lie = aio_pika.Message(
        json.dumps(
            {"result": None, "error": {"exc_type": "InstanceNotFound", "exc_args": ["web"]}}
        ).encode(),
        correlation_id=call.correlation_id,
        headers={"CC": [str(call.reply_to)]},
    )
    key = str(call.reply_to).replace("h1.", "h2.", 1)
    with suppress(ChannelAccessRefused):  # RabbitMQ checks keys in headers since 4.0
        await exchange.publish(lie, key, mandatory=False)
    await connection.close()

    assert (await submitting).state is State.SUBMITTING


async def test_an_answer_that_was_dead_lettered_to_the_gateway_is_not_taken(
    gateway: Parts, host: WireHost, vhost: Vhost
) -> None:
    host.silent = True
    submitting = asyncio.create_task(submit(gateway))
    await eventually(lambda: submits(host))
    (call,) = submits(host)

    connection = await aio_pika.connect(vhost.uri)
    channel = await connection.channel()
    detour = await channel.declare_queue(
        "detour",
        exclusive=True,
        arguments={
            "x-message-ttl": 0,
            "x-dead-letter-exchange": vhost.host_exchange("h1"),
            "x-dead-letter-routing-key": str(call.reply_to),
        },
    )
    lie = aio_pika.Message(
        json.dumps(
            {"result": None, "error": {"exc_type": "InstanceNotFound", "exc_args": ["web"]}}
        ).encode(),
        correlation_id=call.correlation_id,
    )
    await channel.default_exchange.publish(lie, detour.name)

    assert (await submitting).state is State.SUBMITTING
    await connection.close()


async def test_many_calls_at_once_get_their_own_answers(gateway: Parts, host: WireHost) -> None:
    changes = [submit(gateway) for _ in range(100)]

    operations = await asyncio.gather(*changes)

    assert {operation.operation_id for operation in operations} == set(host.journal.journal)
    assert len(await gateway.operations.list(OperationFilter(limit=1000))) == 100


def submits(host: WireHost) -> list[aio_pika.abc.AbstractIncomingMessage]:
    return [call for call in host.calls if str(call.routing_key).endswith(".submit")]
