"""A plain AMQP client that calls workers as a gateway does, and as an attacker would.

Synchronous, on py-amqp, without code of the product: what it sees is what stands on the wire.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import amqp


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it arrived: the body's `result` and `error`, and its routing key."""

    key: str
    result: Any
    error: dict[str, Any] | None


def connect(uri: str) -> Any:
    """Return an open, confirming connection to the address."""
    parts = urlsplit(uri)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        virtual_host=unquote(parts.path[1:]),
        confirm_publish=True,
        connect_timeout=20,
    )
    connection.connect()
    return connection


class Caller:
    """One caller with a reply queue of its own; `name` is its word in the reply key.

    `exchange_of` returns the name of the exchange to which a host publishes.
    """

    def __init__(self, uri: str, exchange_of: Callable[[str], str], name: str = "tester") -> None:
        self._exchange_of = exchange_of
        self.name = name
        self.connection = connect(uri)
        self.channel = self.connection.channel()
        self._queue = self.channel.queue_declare("", exclusive=True).queue
        self.channel.basic_consume(self._queue, callback=self._take, no_ack=True)
        self._replies: dict[str, Reply] = {}
        # The queues that workers miss, by host.
        self._missing: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.connection.close()

    def call(self, host: str, method: str, *args: object, timeout_s: float = 5.0) -> Reply:
        """Call a method; raise amqp.ChannelError when no worker takes it, TimeoutError later."""
        sent = self.send(host, method, json.dumps({"args": args, "kwargs": {}}))
        return self.reply(sent, timeout_s=timeout_s)

    def send(self, host: str, method: str, body: str | bytes, **properties: Any) -> str:
        """Publish a call with these properties; return its correlation id."""
        sent = uuid.uuid4().hex
        message = amqp.Message(
            body,
            **{
                "content_type": "application/json",
                "content_encoding": "utf-8",
                "correlation_id": sent,
                "reply_to": f"{host}.reply.{self.name}",
                **properties,
            },
        )
        exchange = self._exchange_of(host)
        self.channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        self.channel.queue_bind(self._queue, exchange, f"{host}.reply.{self.name}")
        self.channel.queue_bind(self._queue, exchange, f"{host}.worker.heartbeat")
        self._hear()
        key = f"lxd_worker.{host}.{method}"
        self.channel.basic_publish_confirm(message, "fleet.calls", key, mandatory=True)
        return sent

    def reply(self, sent: str, *, timeout_s: float = 5.0) -> Reply:
        """Wait for the answer to a call; raise TimeoutError."""
        end = time.monotonic() + timeout_s
        while sent not in self._replies:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(sent)
            self.connection.drain_events(timeout=left)
        return self._replies.pop(sent)

    def _hear(self) -> None:
        """Take in what has come; make the queues that workers say they miss."""
        with suppress(TimeoutError):
            while True:
                self.connection.drain_events(timeout=0.01)
        missing, self._missing = self._missing, {}
        for host, name in missing.items():
            if name:
                self.channel.queue_declare(name, auto_delete=True)
                self.channel.queue_bind(name, "fleet.calls", f"lxd_worker.{host}.*")

    def _take(self, message: Any) -> None:
        body = json.loads(message.body)
        key = message.delivery_info["routing_key"]
        if key.endswith(".worker.heartbeat"):
            self._missing[key.partition(".")[0]] = body["calls_queue"]
            return
        self._replies[message.properties.get("correlation_id", "")] = Reply(
            key, body["result"], body["error"]
        )
