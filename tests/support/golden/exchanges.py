"""One exchange with the gateway, over HTTP or a WebSocket, as the golden files hold it.

What differs from run to run is replaced here and nowhere else:

* a uuid that was drawn becomes `<uuid 1>`, the next one `<uuid 2>` and so on;
* what opens something (a ticket, a password, the position in a stream) becomes `<drawn>`;
* of Prometheus' text the lines of the process itself are left out, times become `<time>`, and the
  lines of one metric are sorted.

Headers that every answer has are left out where they have their usual value.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import httpx
from fastapi import FastAPI

from tests.support.golden.fleet import TOKEN, GoldenGateway

ADDRESSES = {"admin": "192.0.2.1", "guest": "10.1.2.3", "stranger": "192.0.2.1"}
URL = "http://127.0.0.1:8000"
REQUEST_ID = "golden"
LONGEST_SHOWN = 1000

USUAL = {
    "x-request-id": REQUEST_ID,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "vary": "Origin",
}
LEFT_OUT = {"content-length", "date"}
OF_FILES = {*LEFT_OUT, "last-modified", "etag"}

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_POSITION = re.compile(r"\b[0-9a-f]{24}-(?=\d+)")
_IN_ADDRESS = re.compile(r"(?<=password=)[A-Za-z0-9_-]{20,}")
_OF_THE_PROCESS = re.compile(r"(?:# \w+ )?(?:process|python)_")
_TIMES = re.compile(r"^(\w+_created(?:\{.*\})?|\w+_seconds_(?:sum|bucket)\S*) .*$")
# By their lengths, which no password of a request has.
DRAWN = {"ticket": {43}, "password": {20, 43}, "root_password": {20}}

Given = Callable[[GoldenGateway], None]
# A WebSocket's next message is awaited (None), something is said, or the fleet changes.
Step = None | str | Mapping[str, object] | Given


@dataclass(frozen=True)
class Case:
    """What is asked, by whom (`admin`, `guest` without a token, `stranger`), and of which gateway.

    `given` is done before, as are the requests `first`, whose answers are not looked at.
    """

    name: str
    request: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: str = "admin"
    given: Given | None = None
    first: tuple[str, ...] = ()
    unready: bool = False
    # Of a WebSocket.
    steps: tuple[Step, ...] = (None,)

    @property
    def method(self) -> str:
        """`WS` for a WebSocket."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path, with its query."""
        return self.request.partition(" ")[2]


async def recorded(case: Case) -> dict[str, Any]:
    """Return what is asked, what is answered in both languages, and what workers are told."""
    gateway = _gateway(case)
    chinese = await _exchanged(case, gateway, "zh")
    # Reading leaves a gateway as it is.
    other = gateway if case.method == "GET" else _gateway(case)
    differing = _differing(await _exchanged(case, other, "en"), chinese)
    record: dict[str, Any] = {"request": _asked(case), **chinese}
    return record | ({"in English": differing} if differing else {})


async def described() -> tuple[Any, Any]:
    """Return `/openapi.json`, and what of it is not so in English."""
    app = GoldenGateway().app()
    chinese, english = [await _description(app, language) for language in ("zh", "en")]
    return chinese, _differing(english, chinese)


async def _description(app: FastAPI, language: str) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        return (await client.get("/openapi.json", headers={"accept-language": language})).json()


def _differing(one: Any, other: Any) -> Any:
    """Return what of one is not so in the other; of tables and lists only that part."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return _differing(dict(enumerate(one)), dict(enumerate(other)))
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return one
    keys = [key for key in one if key not in other or one[key] != other[key]]
    return {key: _differing(one[key], other.get(key)) for key in keys}


def _gateway(case: Case) -> GoldenGateway:
    gateway = GoldenGateway(unready=case.unready)
    if case.given:
        case.given(gateway)
    return gateway


def _asked(case: Case) -> dict[str, Any]:
    parts = {
        "what": case.request,
        "by": case.caller,
        "headers": dict(case.headers),
        "body": _shortened(case.body),
        "given": _named(case.given) if case.given else "",
        "first": list(case.first),
    }
    return {name: part for name, part in parts.items() if part or name == "what"}


def _shortened(body: object) -> object:
    is_long = isinstance(body, str) and len(body) > LONGEST_SHOWN
    return f"{len(str(body))} characters" if is_long else body


def _named(given: Given) -> str:
    return given.__name__.strip("_").replace("_", " ")


async def _exchanged(case: Case, gateway: GoldenGateway, language: str) -> dict[str, Any]:
    app = gateway.app()
    headers = {"x-request-id": REQUEST_ID, "accept-language": language}
    if case.caller == "admin":
        headers["authorization"] = f"Bearer {TOKEN}"
    peer = (ADDRESSES[case.caller], 40000)
    transport = httpx.ASGITransport(app, client=peer)
    options: dict[str, Any] = {"base_url": URL, "headers": headers}
    async with httpx.AsyncClient(transport=transport, **options) as client:
        for request in case.first:
            await client.request(*request.split(" ", 1), headers=case.headers)
        before = len(gateway.workers.called)
        if case.method == "WS":
            answer = await _watched(app, gateway, case, headers, peer)
        else:
            answer = await _answered(client, case)
    calls = zip(gateway.workers.called, gateway.workers.sent, strict=True)
    told = [[*called, *json.loads(body)] for called, (_, body) in list(calls)[before:]]
    answer |= {"workers are told": told} if told else {}
    return _without_the_drawn(answer)


async def _answered(client: httpx.AsyncClient, case: Case) -> dict[str, Any]:
    content = case.body.encode() if isinstance(case.body, str) else None
    body = {"content": content} if content else {"json": case.body}
    sent: dict[str, Any] = {} if case.body is None else body
    answer = await client.request(case.method, case.path, headers=dict(case.headers), **sent)
    return {
        "status": answer.status_code,
        "headers": _telling(answer.headers),
        "body": _read(answer.text, answer.headers.get("content-type", "")),
    }


def _telling(headers: httpx.Headers) -> dict[str, str | None]:
    missing = {name: None for name in USUAL if name not in headers}
    # Of a file they depend on when it was copied.
    left_out = OF_FILES if "last-modified" in headers else LEFT_OUT
    other = {
        name: value
        for name, value in headers.items()
        if name not in left_out and USUAL.get(name) != value
    }
    return {**missing, **other}


def _read(text: str, kind: str) -> Any:
    if "json" in kind and text:
        return json.loads(text)
    lines = text.splitlines()
    if kind.startswith("text/plain"):
        told = [line for line in lines if not _OF_THE_PROCESS.match(line)]
        timeless = [_TIMES.sub(r"\1 <time>", line) for line in told]
        metrics = groupby(timeless, key=lambda line: line.startswith("#"))
        return [line for names, run in metrics for line in (run if names else sorted(run))]
    return lines


async def _watched(
    app: FastAPI,
    gateway: GoldenGateway,
    case: Case,
    headers: Mapping[str, str],
    peer: tuple[str, int],
) -> dict[str, Any]:
    """Take part in a WebSocket as the case's steps say; return all that came."""
    path, _, query = case.path.partition("?")
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.encode(), value.encode())
            for name, value in {"host": "127.0.0.1:8000", **headers, **case.headers}.items()
        ],
        "client": peer,
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said.put_nowait({"type": "websocket.connect"})
    serving = asyncio.create_task(app(scope, said.get, came.put))  # type: ignore[arg-type]
    try:
        first = await asyncio.wait_for(came.get(), 5)
        if first["type"] != "websocket.accept":
            return await _refused(first, came)
        messages = []
        for step in case.steps:
            if step is None:
                messages.append(_message(await asyncio.wait_for(came.get(), 5)))
            elif callable(step):
                step(gateway)
            else:
                text = step if isinstance(step, str) else json.dumps(step)
                said.put_nowait({"type": "websocket.receive", "text": text})
        return {"messages": messages}
    finally:
        said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(serving, 5)


async def _refused(start: dict[str, Any], came: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    headers = httpx.Headers(start["headers"])
    body = (await came.get()).get("body", b"").decode()
    kind = headers.get("content-type", "")
    return {"status": start["status"], "headers": _telling(headers), "body": _read(body, kind)}


def _message(event: dict[str, Any]) -> Any:
    if event["type"] == "websocket.close":
        return {"closed": event["code"], "why": event["reason"]}
    if text := event.get("text"):
        return json.loads(text)
    return {"bytes": event["bytes"].decode()}


def _without_the_drawn(answer: dict[str, Any]) -> dict[str, Any]:
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"<uuid {len(numbers) + 1}>")

    def clean(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {clean(key): clean(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [clean(each) for each in value]
        if not isinstance(value, str):
            return value
        if len(value) in DRAWN.get(name, ()):
            return "<drawn>"
        text = _POSITION.sub("<drawn>-", _IN_ADDRESS.sub("<drawn>", value))
        return _UUID4.sub(numbered, text)

    cleaned: dict[str, Any] = clean(answer)
    return cleaned
