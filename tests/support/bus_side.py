"""A gateway's side of the bus for tests of a worker: it calls, and collects the host's events.

Plain kombu in the thread of the test, speaking nameko's wire.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kombu import Connection, Consumer, Exchange, Producer, Queue

from shared.contracts.codec import decode, from_wire, to_wire
from shared.contracts.errors import BY_CODE, HostUnreachable
from shared.contracts.events import Event, Heartbeat, OperationChanged
from shared.contracts.operations import Arguments, Kind, Operation, Secrets, State, Submission
from shared.contracts.worker_api import OperationPage
from shared.platform.bus import topology
from tests.support.builders import a_new_instance, a_submission
from tests.support.polling import NotInTime, wait_until

T = TypeVar("T")

GATEWAY = "test"
ERRORS = {error.__name__: error for error in BY_CODE.values()}


class BusSide:
    """Calls the worker of the host whose exchange it is, and keeps all its events in `events`."""

    def __init__(self, uri: str, exchange: str) -> None:
        topology.declare(uri, [exchange])
        self.host = topology.host_of(exchange)
        self.events: list[Event] = []
        self._answers: dict[str, Any] = {}
        self._connection = Connection(uri)
        channel = self._connection.channel()
        self._producer = Producer(channel, on_return=self._returned)
        self._consumer = Consumer(
            channel,
            [self._own_queue(Exchange(exchange, type="topic", durable=True), "#")],
            on_message=self._received,
            no_ack=True,
        )
        self._consumer.consume()

    def close(self) -> None:
        """Stop listening."""
        self._connection.release()

    def reach(self, timeout_s: float = 20.0) -> None:
        """Wait until a worker takes calls."""
        self.until(self._reached, timeout_s)

    def submit(self, submission: Submission) -> Operation:
        """Hand an operation over; raises what the worker answers."""
        return from_wire(Operation, self.call("submit", to_wire(submission)))

    def carry_out(self, submission: Submission) -> Operation:
        """Hand an operation over that must be accepted; return it as it has ended."""
        assert self.submit(submission).state is State.ACCEPTED
        return self.ended(submission.operation_id)

    def prepare(self, submission: Submission) -> Operation:
        """Hand a creation over whose secrets will follow; raises what the worker answers."""
        return from_wire(Operation, self.call("prepare", to_wire(submission)))

    def deliver_secrets(self, operation_id: str, **secrets: str) -> Operation:
        """Send secrets; raises what the worker answers."""
        sent = to_wire(Secrets(**secrets))
        return from_wire(Operation, self.call("deliver_secrets", operation_id, sent))

    def resolve(self, operation_id: str) -> Operation | None:
        """Ask what became of an operation."""
        answer = self.call("resolve", operation_id)
        return from_wire(Operation, answer) if answer else None

    def operations_since(self, sequence: int, limit: int = 500) -> OperationPage:
        """Ask what changed."""
        return from_wire(OperationPage, self.call("operations_since", sequence, limit))

    def call(self, method: str, *arguments: object) -> Any:
        """Call the worker and return its answer, or raise the error it answers.

        Raises HostUnreachable when there is no worker.
        """
        return self.answer(self.send(method, *arguments))

    def send(self, method: str, *arguments: object) -> str:
        """Send a call without waiting; return what `answer` wants."""
        call_id = uuid.uuid4().hex
        self._producer.publish(
            {"args": list(arguments), "kwargs": {}},
            exchange=topology.CALLS.name,
            routing_key=topology.call_key(self.host, method),
            correlation_id=call_id,
            reply_to=topology.reply_key(self.host, GATEWAY),
            headers={"nameko.correlation_id": f"corr-{call_id}"},
            serializer="json",
            mandatory=True,
        )
        return call_id

    def answer(self, call_id: str, timeout_s: float = 20.0) -> Any:
        """Return the answer to a call that was sent."""
        answer = self.until(lambda: self._answers.get(call_id), timeout_s)
        if answer["error"] is not None:
            error = answer["error"]
            raise ERRORS[error["exc_type"]](*error["exc_args"])
        return answer["result"]

    def ended(self, operation_id: str, timeout_s: float = 60.0) -> Operation:
        """Wait for the event that tells the end of an operation, and return the operation."""
        return self.until(lambda: self._end_of(operation_id), timeout_s)

    def of(self, kind: type[T]) -> list[T]:
        """Return the events of one kind that have come so far."""
        self.receive(0.0)
        return [event for event in self.events if isinstance(event, kind)]

    def until(self, found: Callable[[], T | None], timeout_s: float = 20.0) -> T:
        """Receive until the function returns something, and return that."""

        def found_or_received() -> T | None:
            if result := found():
                return result
            self.receive(0.05)
            return found()

        return wait_until(found_or_received, within_s=timeout_s, every_s=0)

    def receive(self, seconds: float) -> None:
        """Take in what comes within that time, and what is there already."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._connection.drain_events(timeout=max(0.01, deadline - time.monotonic()))
        except TimeoutError:
            return

    def _reached(self) -> bool:
        # A call may still be routed to the queue of a worker that has just died: it is lost then.
        try:
            self.answer(self.send("operations_since", 0, 1), timeout_s=2.0)
        except (HostUnreachable, NotInTime):
            return False
        return True

    def _end_of(self, operation_id: str) -> Operation | None:
        told = [event.operation for event in self.events if isinstance(event, OperationChanged)]
        mine = [one for one in told if one.operation_id == operation_id and one.final]
        return mine[0] if mine else None

    def _own_queue(self, exchange: Exchange, key: str) -> Queue:
        name = f"test-{uuid.uuid4().hex}"
        return Queue(name, exchange=exchange, routing_key=key, exclusive=True, durable=False)

    def _make_queue(self, name: str) -> None:
        key = topology.call_key(self.host, "*")
        channel = self._connection.default_channel
        Queue(name, topology.CALLS, key, durable=False, auto_delete=True, channel=channel).declare()

    def _returned(self, exc: object, exchange: str, key: str, message: Any) -> None:
        unreachable = {"exc_type": HostUnreachable.__name__, "exc_args": [self.host]}
        call_id = message.properties["correlation_id"]
        self._answers[call_id] = {"result": None, "error": unreachable}

    def _received(self, message: Any) -> None:
        key = message.delivery_info["routing_key"]
        if read := topology.read_event_key(key):
            event = decode(read[1], _bytes(message.body))
            self.events.append(event)
            if isinstance(event, Heartbeat) and event.calls_queue:
                self._make_queue(event.calls_queue)
        else:
            self._answers[message.properties["correlation_id"]] = message.decode()


def submission(
    kind: Kind, instance: str, uuid_: str, *, arguments: Mapping[str, Any] = {}, **fields: Any
) -> Submission:
    """Return an order to `h1` that may start within the next minute."""
    fresh = {"operation_id": str(uuid.uuid4()), "start_by": f"{time.time() + 60:.3f}"}
    return a_submission(kind, instance, Arguments(**arguments), uuid=uuid_, **(fresh | fields))


def creation(name: str, *, start_within_s: float = 60.0, **fields: Any) -> Submission:
    """Return an order for a small container; `fields` are those of `NewInstance`."""
    new = a_new_instance(**({"memory": 64 << 20, "disk": 64 << 20} | fields))
    start_by = f"{time.time() + start_within_s:.3f}"
    uuid_ = str(uuid.uuid4())
    return submission(Kind.CREATE, name, uuid_, arguments={"create": new}, start_by=start_by)


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode()
