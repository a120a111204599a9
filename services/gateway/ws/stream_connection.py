"""One connection of the stream: what it watches, what it is told, what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec
from starlette.websockets import WebSocket

from services.gateway import units
from services.gateway.ws.connection import POLICY_VIOLATION, close
from services.gateway.ws.frames import frame_message, send
from services.gateway.ws.protocol import Subscribe, TopicFilter, Unsubscribe, decode_message
from services.gateway.ws.send_timeout import SendTimeout
from services.gateway.ws.subscription import Subscription
from services.gateway.ws.topic_channel import Position
from services.gateway.ws.topic_registry import ClientProfile, TopicRegistry
from shared.contracts.errors import FleetError, InvalidInput

MOST_SUBSCRIPTIONS = 16


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """A sign of life, with what to resume from."""

    timestamp_utc: str
    positions: list[Position]


class StreamError(msgspec.Struct, frozen=True, tag="error"):
    """The answer to a message that cannot be obeyed; the connection stays."""

    code: str
    detail: str


class StreamConnection:
    """Holds a position per subscription and one message at most; never a queue."""

    def __init__(
        self,
        websocket: WebSocket,
        topics: TopicRegistry,
        audience: ClientProfile,
        now: Callable[[], datetime],
        patience: SendTimeout,
        ping_s: float,
    ) -> None:
        self._websocket = websocket
        self._topics = topics
        self._audience = audience
        self._now = now
        self._patience = patience
        self._ping_s = ping_s
        self._news = asyncio.Event()
        self._ping_is_due = False
        self._subscriptions: dict[TopicFilter, Subscription] = {}

    async def subscribe(self, request: Subscribe) -> None:
        """Watch something, from now on or from where the request says.

        Raises as `TopicRegistry.enter` does, and InvalidInput when there is too much already.
        """
        wanted = request.wanted
        if len(self._subscriptions.keys() - {wanted}) >= MOST_SUBSCRIPTIONS:
            raise InvalidInput("message", "stream_full")
        view, leave = await self._topics.enter(wanted, self._audience)
        self._unsubscribe(wanted)
        self._subscriptions[wanted] = Subscription(view, leave, self._news, request.after)

    async def listen(self) -> None:
        """Do what the viewer says until it has gone; raise TimeoutError if it is too slow."""
        while (said := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                await self._obey(decode_message(said.get("text") or said.get("bytes") or ""))
            except FleetError as error:
                await self._tell(StreamError(error.code, self._audience.words.problem(error)))

    async def speak(self) -> None:
        """Tell the news and, now and then, that we live; raise TimeoutError as `listen`.

        Ends with a viewer that watches nothing from one ping to the next.
        """
        watches = True
        while True:
            await self._tell_news_until_ping()
            watched, watches = watches, bool(self._subscriptions)
            if not (watched or watches):
                return await close(self._websocket, POLICY_VIOLATION, "nothing subscribed")
            await self._tell(Ping(units.utc_text(self._now()), self._positions()))

    def leave(self) -> None:
        """Watch nothing any more."""
        for wanted in list(self._subscriptions):
            self._unsubscribe(wanted)

    async def _obey(self, request: Subscribe | Unsubscribe) -> None:
        if isinstance(request, Subscribe):
            await self.subscribe(request)
        else:
            self._unsubscribe(request.wanted)

    def _unsubscribe(self, wanted: TopicFilter) -> None:
        if known := self._subscriptions.pop(wanted, None):
            known.end()

    async def _tell_news_until_ping(self) -> None:
        self._ping_is_due = False
        # One timer per ping: a time-out around each wait would cost every viewer at every change.
        timer = asyncio.get_running_loop().call_later(self._ping_s, self._want_ping)
        try:
            while not self._ping_is_due:
                await self._news.wait()
                # Also before a ping: changes of other parts wake nobody, but they move positions.
                await self._tell_news()
        finally:
            timer.cancel()

    def _want_ping(self) -> None:
        self._ping_is_due = True
        self._news.set()

    async def _tell_news(self) -> None:
        self._news.clear()
        for subscription in list(self._subscriptions.values()):
            for message in subscription.messages():
                await send(self._websocket, message, self._patience)

    def _positions(self) -> list[Position]:
        told = (subscription.position() for subscription in self._subscriptions.values())
        return [position for position in told if position]

    async def _tell(self, message: Ping | StreamError) -> None:
        await send(self._websocket, frame_message(msgspec.json.encode(message)), self._patience)
