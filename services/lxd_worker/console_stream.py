"""This host's end of a console's byte stream, over a broker connection of its own.

So no stream can delay another one, nor the worker's calls and events; and when the connection is
lost the stream is over, with nothing to repair. One greenthread listens; any may send.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import eventlet
from amqp import Message
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore
from kombu import Connection

from services.lxd_worker.greenthreads import AutoResetEvent
from shared.contracts.errors import BrokerUnavailable, FleetError, StreamLost
from shared.contracts.streams import (
    BEAT_S,
    IDLE_S,
    Credit,
    End,
    Frame,
    Resize,
    from_message,
    to_message,
)
from shared.platform.bus import topology
from shared.platform.bus.delivery import UNDECODABLE, is_direct
from shared.platform.bus.flow_control import ReceiveWindow, SendWindow

log = logging.getLogger(__name__)

CONNECT_S = 5.0
CLOSE_S = 2.0
# The broker's own heartbeat; our credit frames are more frequent.
HEARTBEAT_S = 10


class HostStreams:
    """Implements `OpenConsoleStream`."""

    def __init__(self, amqp_uri: str, host: str) -> None:
        self._amqp_uri = amqp_uri
        self._host = host

    def __call__(self, stream: str, lost: Callable[[], None]) -> HostStream:
        """See `OpenConsoleStream`; the caller has at most `MOST_STREAMS` open."""
        return HostStream(self._amqp_uri, self._host, stream, lost=lost)


class HostStream:
    """Open when made, or raises BrokerUnavailable; see `ConsoleStream`, `OpenConsoleStream`."""

    def __init__(
        self,
        amqp_uri: str,
        host: str,
        stream: str,
        *,
        lost: Callable[[], None],
    ) -> None:
        self._exchange = topology.host_exchange(host, topology.password_of(amqp_uri))
        self._key_out = topology.stream_key_of(host, stream)
        self._key_in = topology.stream_key_to(host, stream)
        self._lost = lost
        self._outgoing, self._incoming = SendWindow(), ReceiveWindow()
        self._frames: Any = LightQueue()
        self._credit, self._ended = AutoResetEvent(), AutoResetEvent()
        self._sending = Semaphore()
        self._failure: FleetError | None = None
        self._received_at = time.monotonic()
        self._connection: Any = Connection(
            amqp_uri, heartbeat=HEARTBEAT_S, connect_timeout=CONNECT_S
        )
        try:
            with eventlet.Timeout(CONNECT_S):
                self._channel = self._open_channel(topology.stream_queue(host, stream))
                self._beat()
        except (*self._errors(), FleetError, eventlet.Timeout) as exc:
            self._connection.collect()
            raise BrokerUnavailable from exc
        self._listener = eventlet.spawn(self._listen)

    def __iter__(self) -> Iterator[bytes | Resize]:
        """See `ConsoleStream.__iter__`."""
        while not isinstance(frame := self._frames.get(), End):
            if frame is None:
                return self._raise_failure()
            yield frame
            if isinstance(frame, bytes) and self._incoming.consume(len(frame)):
                self._send(self._incoming.credit)

    def send(self, data: bytes, within_s: float | None = None) -> int:
        """See `ConsoleStream.send`."""
        sent = 0
        while sent < len(data) and self._has_room(within_s):
            piece = data[sent : sent + self._outgoing.room]
            self._send(piece)
            self._outgoing.sent += len(piece)
            sent += len(piece)
            # Where no socket blocks, the other greenthreads would wait for too long.
            eventlet.sleep(0)
        return sent

    def end(self, exit_status: int | None) -> None:
        """See `ConsoleStream.end`."""
        self._send(End(sent=self._outgoing.sent, exit_status=exit_status))
        self._ended.wait()
        self._raise_failure()

    def abort(self, error: FleetError) -> None:
        """See `ConsoleStream.abort`."""
        with suppress(FleetError):
            self._send(End(sent=self._outgoing.sent, code=error.code, values=list(error.values)))

    def close(self) -> None:
        """See `ConsoleStream.close`."""
        self._give_up(StreamLost("closed"))
        self._listener.kill()
        with eventlet.Timeout(CLOSE_S, False), suppress(*self._errors()):
            self._connection.release()
        self._connection.collect()

    def _open_channel(self, queue: str) -> Any:
        self._connection.connect()
        channel = self._connection.channel()
        channel.basic_consume(queue, no_ack=True, exclusive=True, callback=self._received)
        channel.events["basic_return"].add(self._returned)
        return channel

    def _listen(self) -> None:
        try:
            while self._failure is None:
                self._receive()
                self._beat()
        except self._errors() as exc:
            self._fail(StreamLost(f"broker: {exc}"))
        except FleetError as exc:
            self._fail(exc)

    def _receive(self) -> None:
        """Handle what comes until our next sign of life is due."""
        beat_at = time.monotonic() + BEAT_S
        while self._failure is None and (left_s := beat_at - time.monotonic()) > 0:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=left_s)

    def _beat(self) -> None:
        if time.monotonic() - self._received_at > IDLE_S:
            raise StreamLost(f"no sign of life for {IDLE_S:g} s")
        self._send(self._incoming.credit)

    def _received(self, message: Any) -> None:
        if self._failure is not None:
            return  # it came while the connection was being closed
        delivery = message.delivery_info
        if delivery["routing_key"] != self._key_in or not is_direct(
            exchange=delivery["exchange"],
            expected_exchange=topology.STREAMS_IN.name,
            headers=message.headers,
        ):
            log.warning("frame of doubtful origin dropped", extra={"key": delivery["routing_key"]})
            return
        self._received_at = time.monotonic()
        body = message.body if isinstance(message.body, bytes) else message.body.encode()
        self._dispatch(from_message(str(message.properties.get("type")), body))

    def _dispatch(self, frame: Frame) -> None:
        if isinstance(frame, Credit):
            self._outgoing.grant(frame)
            self._credit.set()
            return
        if isinstance(frame, bytes):
            self._incoming.receive(len(frame))
        elif isinstance(frame, End):
            self._incoming.finish(frame)
            self._ended.set()
        self._frames.put(frame)

    def _has_room(self, within_s: float | None) -> bool:
        while not self._outgoing.room:
            if not self._credit.wait(within_s):
                return False
            self._raise_failure()
        return True

    def _send(self, frame: Frame) -> None:
        self._raise_failure()
        kind, body = to_message(frame)
        message = Message(body, type=kind)
        try:
            with self._sending:
                self._channel.basic_publish(message, self._exchange, self._key_out, mandatory=True)
        except self._errors() as exc:
            raise StreamLost(f"broker: {exc}") from exc

    def _returned(self, *_: object) -> None:
        self._fail(StreamLost("nobody listens any more"))

    def _fail(self, failure: FleetError) -> None:
        if self._failure is None:
            self._give_up(failure)
            self._lost()

    def _give_up(self, failure: FleetError) -> None:
        """Wake whoever waits."""
        self._failure = self._failure or failure
        self._frames.put(None)
        self._credit.set()
        self._ended.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _errors(self) -> tuple[type[BaseException], ...]:
        # To send or close anything, py-amqp first reads what has come before.
        lost = (*self._connection.connection_errors, *self._connection.channel_errors)
        return (*lost, *UNDECODABLE, OSError)
