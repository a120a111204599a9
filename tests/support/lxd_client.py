"""A client that hides nothing of LXD's answers, for tests of what LXD and its double really say.

It is not that of `shared.lxd`, which translates statuses and headers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.polling import eventually

IMAGE = {"type": "image", "alias": "busybox"}
PATIENCE_S = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is its JSON."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def metadata(self) -> Any:
        """What was asked for."""
        return self.body["metadata"]

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and text of an error, whose status stands in its body too."""
        assert (self.body["type"], self.body["error_code"]) == ("error", self.status), self.body
        return self.status, self.body["error"]


class Events:
    """What comes over the event stream about some instances, as short texts.

    `instance-started` for a lifecycle event, `Starting instance: Success` for an operation's.
    """

    def __init__(self, stream: aiohttp.ClientWebSocketResponse, names: tuple[str, ...]) -> None:
        self._stream = stream
        self._paths = {f"/1.0/instances/{name}" for name in names}

    async def until(self, *wanted: str) -> list[str]:
        """Return what comes, in its order, until all of the wanted have come."""
        seen: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not set(wanted) <= set(seen):
                event = json.loads((await self._stream.receive()).data)
                if self._concerns(event["metadata"]):
                    seen.append(_in_short(event))
        return seen

    def _concerns(self, metadata: dict[str, Any]) -> bool:
        told = {metadata.get("source"), *(metadata.get("resources") or {}).get("instances", ())}
        return not self._paths.isdisjoint(told)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal that is open, by its operation's path and the socket of its bytes."""

    operation: str
    data: aiohttp.ClientWebSocketResponse

    async def shown_to_the_end(self) -> bytes:
        """Return all that comes before the empty text with which LXD says that it was all."""
        shown = b""
        async with asyncio.timeout(PATIENCE_S):
            while (message := await self.data.receive()).type is aiohttp.WSMsgType.BINARY:
                shown += message.data
        assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, ""), message
        return shown


class Client:
    """Requests to one daemon."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connected(cls, socket: Path) -> AsyncIterator[Self]:
        """Talk to the daemon at this socket."""
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession("http://lxd", connector=connector) as session:
            yield cls(session)

    async def ask(self, method: str, path: str, body: object = None, etag: str = "") -> Answer:
        """Return the answer to a request as it is."""
        headers = {"If-Match": etag} if etag else {}
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.json())

    async def get(self, path: str) -> Any:
        """Return the metadata of what stands at a path."""
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.metadata

    async def begin(self, method: str, path: str, body: object = None) -> str:
        """Ask for something asynchronous; return its operation's path."""
        accepted = await self.ask(method, path, body)
        assert (accepted.status, accepted.body["type"]) == (202, "async"), accepted.body
        return str(accepted.body["operation"])

    async def carry_out(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask for something asynchronous; return its operation when it has ended."""
        return await self.ended(await self.begin(method, path, body))

    async def ended(self, operation: str, timeout_s: int = PATIENCE_S) -> dict[str, Any]:
        """Return an operation, by its path, when it has ended or the time is over."""
        answer = await self.ask("GET", f"{operation}/wait?timeout={timeout_s}")
        # Some answer to who waits with the error; see the worker's `Api.wait`.
        shown = answer.body["type"] == "sync"
        return dict(answer.metadata if shown else await self.get(operation))

    async def create(self, name: str) -> dict[str, Any]:
        """Create a stopped container; return the operation."""
        return await self.carry_out("POST", "/1.0/instances", {"name": name, "source": IMAGE})

    async def change(
        self, name: str, action: str, *, force: bool = False, timeout_s: int = PATIENCE_S
    ) -> dict[str, Any]:
        """Start, stop, restart, freeze or unfreeze; return the operation when it has ended."""
        body = {"action": action, "force": force, "timeout": timeout_s}
        return await self.carry_out("PUT", f"/1.0/instances/{name}/state", body)

    async def status(self, name: str) -> str:
        """Return LXD's word for what the instance does now."""
        return str((await self.get(f"/1.0/instances/{name}/state"))["status"])

    async def until_status(self, name: str, wanted: str) -> None:
        """Return when the instance has this status."""
        await self._until(name, lambda state: state["status"] == wanted)

    async def until_ready(self, name: str) -> None:
        """Return when the guest runs more than its init, which answers a stop from then on."""
        await self._until(name, lambda state: state["processes"] > 1)

    async def _until(self, name: str, true_of: Callable[[dict[str, Any]], bool]) -> None:
        async def reached() -> bool:
            return true_of(await self.get(f"/1.0/instances/{name}/state"))

        # LXD has no event for most of what a state says.
        await eventually(reached, within_s=PATIENCE_S, every_s=0.1)

    async def remove(self, name: str) -> None:
        """Leave no such instance behind, whatever its status."""
        if (await self.ask("GET", f"/1.0/instances/{name}")).status == 200:
            await self.change(name, "stop", force=True)
            await self.carry_out("DELETE", f"/1.0/instances/{name}")

    async def connect(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket."""
        # LXD does not answer a farewell.
        return await self._session.ws_connect(path, timeout=aiohttp.ClientWSTimeout(ws_close=0.1))

    @asynccontextmanager
    async def terminal(self, path: str, body: object) -> AsyncIterator[Terminal]:
        """Sit at a shell or a console; leave it afterwards as LXD wants it."""
        operation = await self.begin("POST", path, body)
        secrets = (await self.get(operation))["metadata"]["fds"]
        address = f"{operation}/websocket?secret="
        data = await self.connect(address + secrets["0"])
        control = await self.connect(address + secrets["control"])
        yield Terminal(operation, data)
        await control.close()
        await data.close()

    @asynccontextmanager
    async def events(self, *names: str, everywhere: bool = False) -> AsyncIterator[Events]:
        """Listen to what happens to instances; those of other projects only from `everywhere`."""
        path = f"/1.0/events?type=lifecycle,operation&all-projects={str(everywhere).lower()}"
        async with self._session.ws_connect(path) as stream:
            yield Events(stream, names)


def _in_short(event: dict[str, Any]) -> str:
    metadata = event["metadata"]
    if event["type"] == "lifecycle":
        return str(metadata["action"])
    return f"{metadata['description']}: {metadata['status']}"
