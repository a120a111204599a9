"""A line that a test can cut: a TCP proxy on loopback, between a service and its broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from deploy.local import processes

T = TypeVar("T")
CHUNK = 65536


class Line:
    """Carries connections to a loopback port until it is cut, and again once it is mended.

    A cut drops every connection at once and refuses new ones. It works in a thread of its own, so
    that tests may block.
    """

    def __init__(self, target_port: int) -> None:
        self.port = processes.free_port()
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._held = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.mend()

    def mend(self) -> None:
        """Carry connections again."""
        self._server = self._run(asyncio.start_server(self._carry, "127.0.0.1", self.port))

    def hold(self) -> None:
        """Swallow whatever is sent, and every close, as if the other end hung; until a cut."""
        self._held = True

    def cut(self) -> None:
        """Drop every connection, and refuse new ones."""
        self._run(self._drop())
        self._held = False

    def close(self) -> None:
        """Cut the line for good."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        if not self._held:
            writer.close()

    async def _drop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not self._held:
                    writer.write(data)
                    await writer.drain()
        if not self._held:
            writer.close()
