"""`/console/{id}`: a terminal of an instance, as binary messages both ways.

A viewer that reads slowly holds up the process whose output it is, and nothing else: what the host
may send follows what the viewer has taken. Texts tell what is not the terminal's: from the viewer
its size, to the viewer how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.gateway.consoles import ByteStream, Console, ConsoleService
from services.gateway.telemetry import Telemetry
from services.gateway.ws.connection import (
    INTERNAL_ERROR,
    NORMAL,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    close,
    until_one_ends,
)
from services.gateway.ws.topic_registry import TopicLanguage
from shared.contracts.codec import UNREADABLE
from shared.contracts.errors import FleetError, InvalidInput, StreamLost, TemporaryError
from shared.contracts.streams import Cells, Resize

CONSOLE = "console"  # its name in the metrics
# Seconds that a process may leave unread what was typed. Meanwhile nobody would notice that the
# viewer has gone.
INPUT_TIMEOUT_S = 30.0


class Size(msgspec.Struct, frozen=True, tag="resize"):
    """The viewer's terminal has this size now."""

    columns: Cells
    rows: Cells


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """The viewer has as much as it can show; a browser would take more for ever."""


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """The viewer takes more."""


ClientMessage = Size | Pause | Resume
_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class ProcessExit(msgspec.Struct, frozen=True, tag="end"):
    """The process has ended; null where there was none or nobody knows."""

    exit_status: int | None


class ConsoleError(msgspec.Struct, frozen=True, tag="error"):
    """Why the console could not be opened, or was lost."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ConsoleSocket:
    """Serves consoles; `words` speaks the language of whoever is connected."""

    consoles: ConsoleService
    words: Callable[[HTTPConnection], TopicLanguage]
    telemetry: Telemetry

    async def serve(self, websocket: WebSocket) -> None:
        """Serve the viewer whom the gate let in until it or the process ends."""
        console: Console = websocket.state.console
        await websocket.accept()
        with self.telemetry.watching(CONSOLE):
            try:
                async with self.consoles.open(console) as stream:
                    seat = _Session(websocket, stream)
                    await until_one_ends(seat.listen(), seat.show())
            except FleetError as error:
                problem = ConsoleError(error.code, self.words(websocket).problem(error))
                await _tell(websocket, problem)
                await close(websocket, _close_code(error), error.code)


class _Session:
    """A viewer at a console that is open."""

    def __init__(self, websocket: WebSocket, stream: ByteStream) -> None:
        self._websocket = websocket
        self._stream = stream
        self._taking = asyncio.Event()
        self._taking.set()

    async def listen(self) -> None:
        """Hand over what is typed, until the viewer has gone."""
        while (came := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                async with asyncio.timeout(INPUT_TIMEOUT_S):
                    await self._hand_over(came.get("bytes"), came.get("text"))
            except TimeoutError:
                raise StreamLost("what was typed is not read") from None

    async def show(self) -> None:
        """Show what comes, and how it ended."""
        async for data in self._stream.chunks():
            await self._taking.wait()
            await self._websocket.send_bytes(data)
        status = self._stream.exit_status
        await _tell(self._websocket, ProcessExit(status))
        await close(self._websocket, NORMAL, "ended" if status is None else f"exit {status}")

    async def _hand_over(self, data: bytes | None, text: str | None) -> None:
        if data is not None:
            await self._stream.send(data)
        else:
            await self._obey(_said(text or ""))

    async def _obey(self, said: ClientMessage) -> None:
        match said:
            case Size(columns, rows):
                await self._stream.resize(Resize(columns, rows))
            case Pause():
                self._taking.clear()
            case Resume():
                self._taking.set()


def _said(text: str | bytes) -> ClientMessage:
    try:
        return _decoder.decode(text)
    except UNREADABLE as exc:
        raise InvalidInput("message", str(exc)) from exc


async def _tell(websocket: WebSocket, message: ProcessExit | ConsoleError) -> None:
    """Tell the viewer; one that has gone is left."""
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.send_text(msgspec.json.encode(message).decode())


def _close_code(error: FleetError) -> int:
    if isinstance(error, InvalidInput):
        return POLICY_VIOLATION
    return TRY_AGAIN_LATER if isinstance(error, TemporaryError) else INTERNAL_ERROR
