"""`/console/{id}`: a terminal of an instance, as binary messages in both directions.

A client that reads slowly delays only the process whose output it reads: the host may send what the
client has read. Text messages are for control: from the client its size, to the client the end.
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
# How long a process may leave input unread; meanwhile a disconnect would go unnoticed.
INPUT_TIMEOUT_S = 30.0


class Size(msgspec.Struct, frozen=True, tag="resize"):
    """The size of the client's terminal."""

    columns: Cells
    rows: Cells


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Stop sending; a browser would buffer without limit."""


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Send again."""


ClientMessage = Size | Pause | Resume
_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class ProcessExit(msgspec.Struct, frozen=True, tag="end"):
    """The process has ended; null if there was none, or its status is unknown."""

    exit_status: int | None


class ConsoleError(msgspec.Struct, frozen=True, tag="error"):
    """Why the console failed to open, or was lost."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ConsoleSocket:
    """Serves consoles; `language` returns the language of a connection."""

    consoles: ConsoleService
    language: Callable[[HTTPConnection], TopicLanguage]
    telemetry: Telemetry

    async def serve(self, websocket: WebSocket) -> None:
        """Serve an authenticated client until it disconnects or the process ends."""
        console: Console = websocket.state.console
        await websocket.accept()
        with self.telemetry.track_client(CONSOLE):
            try:
                async with self.consoles.open(console) as stream:
                    session = _Session(websocket, stream)
                    await until_one_ends(session.receive_input(), session.send_output())
            except FleetError as error:
                problem = ConsoleError(error.code, self.language(websocket).translate_error(error))
                await _send(websocket, problem)
                await close(websocket, _close_code(error), error.code)


class _Session:
    """A client of an open console."""

    def __init__(self, websocket: WebSocket, stream: ByteStream) -> None:
        self._websocket = websocket
        self._stream = stream
        self._resumed = asyncio.Event()
        self._resumed.set()

    async def receive_input(self) -> None:
        """Forward input until the client disconnects."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                async with asyncio.timeout(INPUT_TIMEOUT_S):
                    await self._forward(message.get("bytes"), message.get("text"))
            except TimeoutError:
                raise StreamLost("the process does not read its input") from None

    async def send_output(self) -> None:
        """Forward output, then the exit status."""
        async for data in self._stream.chunks():
            await self._resumed.wait()
            await self._websocket.send_bytes(data)
        status = self._stream.exit_status
        await _send(self._websocket, ProcessExit(status))
        await close(self._websocket, NORMAL, "ended" if status is None else f"exit {status}")

    async def _forward(self, data: bytes | None, text: str | None) -> None:
        if data is not None:
            await self._stream.send(data)
        else:
            await self._execute(_decode(text or ""))

    async def _execute(self, message: ClientMessage) -> None:
        match message:
            case Size(columns, rows):
                await self._stream.resize(Resize(columns, rows))
            case Pause():
                self._resumed.clear()
            case Resume():
                self._resumed.set()


def _decode(text: str | bytes) -> ClientMessage:
    try:
        return _decoder.decode(text)
    except UNREADABLE as exc:
        raise InvalidInput("message", str(exc)) from exc


async def _send(websocket: WebSocket, message: ProcessExit | ConsoleError) -> None:
    """Send a message, unless the client has disconnected."""
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.send_text(msgspec.json.encode(message).decode())


def _close_code(error: FleetError) -> int:
    if isinstance(error, InvalidInput):
        return POLICY_VIOLATION
    return TRY_AGAIN_LATER if isinstance(error, TemporaryError) else INTERNAL_ERROR
