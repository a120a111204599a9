"""One connection of the change stream and its subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain

import msgspec
from starlette.websockets import WebSocket

from services.gateway import units
from services.gateway.ws.connection import POLICY_VIOLATION, close
from services.gateway.ws.frames import FramedMessage, frame_message, send
from services.gateway.ws.protocol import Subscribe, TopicFilter, Unsubscribe, decode_message
from services.gateway.ws.timeouts import SendTimeout
from services.gateway.ws.topic_channel import Position, Reason, TopicChannel
from services.gateway.ws.topic_registry import ClientProfile, TopicRegistry
from services.gateway.ws.usage import UsageSubscription
from shared.contracts.errors import FleetError, InvalidInput

MOST_SUBSCRIPTIONS = 16


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """A heartbeat, with the positions to resume from."""

    timestamp_utc: str
    positions: list[Position]


class StreamError(msgspec.Struct, frozen=True, tag="error"):
    """The response to an invalid message; the connection stays open."""

    code: str
    detail: str


class Subscription:
    """A client's position in a channel; `wakeup` is set when there is something to send.

    Every ping carries it too: in a quiet channel the last message, and its position, are old.
    """

    def __init__(
        self,
        channel: TopicChannel,
        release: Callable[[], None],
        wakeup: asyncio.Event,
        after: str | None,
    ) -> None:
        self._channel = channel
        self._release = release
        self._wakeup = wakeup
        self._position = None if after is None else channel.sequence_of(after)
        self._resumes = self._position is not None
        self._resync_reason: Reason | None = (
            "unknown_position" if after and not self._resumes else None
        )
        channel.subscribe(wakeup)
        wakeup.set()

    def messages(self) -> Iterable[FramedMessage]:
        """Return the messages to send now, and advance the position.

        A resumed subscription gets a message even if nothing has changed since.
        """
        if self._position is None:
            return self._state()
        message = self._channel.after(self._position)
        if message is None:
            self._resync_reason = "too_old"
            return self._state()
        send = self._resumes or not message.idle
        self._position, self._resumes = message.sequence, False
        return [message.message] if send else []

    def position(self) -> Position | None:
        """Return the position of the last message; None before the first."""
        return None if self._position is None else self._channel.position_at(self._position)

    def close(self) -> None:
        """End the subscription."""
        self._channel.unsubscribe(self._wakeup)
        self._release()

    def _state(self) -> Iterable[FramedMessage]:
        sequence, messages = self._channel.state_in_parts()
        resync = [self._channel.resync(self._resync_reason)] if self._resync_reason else []
        self._position, self._resumes, self._resync_reason = sequence, False, None
        return chain(resync, messages)


class StreamConnection:
    """Serves one client: a position per subscription and one message at most, never a queue."""

    def __init__(
        self,
        websocket: WebSocket,
        topics: TopicRegistry,
        profile: ClientProfile,
        now: Callable[[], datetime],
        send_timeout: SendTimeout,
        ping_s: float,
    ) -> None:
        self._websocket = websocket
        self._topics = topics
        self._profile = profile
        self._now = now
        self._send_timeout = send_timeout
        self._ping_s = ping_s
        self._wakeup = asyncio.Event()
        self._ping_is_due = False
        self._subscriptions: dict[TopicFilter, Subscription | UsageSubscription] = {}

    async def subscribe(self, request: Subscribe) -> None:
        """Subscribe, from now on or from the requested position.

        Raises as `TopicRegistry.acquire` does, and InvalidInput beyond the limit.
        """
        topic_filter = request.topic_filter
        if len(self._subscriptions.keys() - {topic_filter}) >= MOST_SUBSCRIPTIONS:
            raise InvalidInput("message", "stream_full")
        subscription = await self._subscription(request)
        self._unsubscribe(topic_filter)
        self._subscriptions[topic_filter] = subscription

    async def receive(self) -> None:
        """Execute requests until the client disconnects; raise TimeoutError if it is too slow."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                await self._execute(
                    decode_message(message.get("text") or message.get("bytes") or "")
                )
            except FleetError as error:
                await self._send(
                    StreamError(error.code, self._profile.language.translate_error(error))
                )

    async def send(self) -> None:
        """Send changes and pings; raise TimeoutError if the client is too slow.

        Closes the connection if it has no subscription from one ping to the next.
        """
        active = True
        while True:
            await self._send_changes_until_ping()
            was_active, active = active, bool(self._subscriptions)
            if not (was_active or active):
                return await close(self._websocket, POLICY_VIOLATION, "nothing subscribed")
            await self._send(Ping(units.utc_text(self._now()), self._positions()))

    def close(self) -> None:
        """End all subscriptions."""
        for topic_filter in list(self._subscriptions):
            self._unsubscribe(topic_filter)

    async def _subscription(self, request: Subscribe) -> Subscription | UsageSubscription:
        if request.topic == "usage":
            return self._topics.usage.subscribe(request, self._wakeup)
        channel, release = await self._topics.acquire(request.topic_filter, self._profile)
        return Subscription(channel, release, self._wakeup, request.after)

    async def _execute(self, request: Subscribe | Unsubscribe) -> None:
        if isinstance(request, Subscribe):
            await self.subscribe(request)
        else:
            self._unsubscribe(request.topic_filter)

    def _unsubscribe(self, topic_filter: TopicFilter) -> None:
        if subscription := self._subscriptions.pop(topic_filter, None):
            subscription.close()

    async def _send_changes_until_ping(self) -> None:
        self._ping_is_due = False
        # One timer per ping: a time-out around each wait would cost time for each client and
        # change.
        timer = asyncio.get_running_loop().call_later(self._ping_s, self._request_ping)
        try:
            while not self._ping_is_due:
                await self._wakeup.wait()
                # Also before a ping: changes outside the filters do not wake us, but move
                # positions.
                await self._send_changes()
        finally:
            timer.cancel()

    def _request_ping(self) -> None:
        self._ping_is_due = True
        self._wakeup.set()

    async def _send_changes(self) -> None:
        self._wakeup.clear()
        for subscription in list(self._subscriptions.values()):
            for message in subscription.messages():
                await send(self._websocket, message, self._send_timeout)

    def _positions(self) -> list[Position]:
        positions = (subscription.position() for subscription in self._subscriptions.values())
        return [position for position in positions if position]

    async def _send(self, message: Ping | StreamError) -> None:
        await send(self._websocket, frame_message(msgspec.json.encode(message)), self._send_timeout)
