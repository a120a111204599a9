"""Answers that a caller need not get again: `ETag` and `If-None-Match`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.operations.command import Caller

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
# Whoever keeps an answer asks whether it is still right before it is used. One with passwords is
# kept by nobody; a caller may still remember its tag.
ASK_AGAIN, KEEP_NOTHING = "private, no-cache", "no-store"


class Tagged(NamedTuple):
    """An encoded answer and the digest that tells it from any other; `headers` go along."""

    body: bytes
    tag: str
    headers: Mapping[str, str]


def tagged(body: bytes, headers: Mapping[str, str] | None = None) -> Tagged:
    """Return an answer with its tag."""
    return Tagged(body, hashlib.blake2b(body, digest_size=16).hexdigest(), headers or {})


def conditional_response(request: Request, content: Tagged) -> Response:
    """Return the answer, or 304 without it where the caller has it already."""
    caller: Caller = request.state.caller
    cache = KEEP_NOTHING if caller.may_see_secrets else ASK_AGAIN
    headers = {**content.headers, "etag": f'"{content.tag}"', "cache-control": cache}
    if _holds(request.headers.get("if-none-match", ""), content.tag):
        return Response(status_code=304, headers=headers)
    return Response(content.body, media_type="application/json", headers=headers)


def etags(header: str) -> set[str]:
    """Return the tags that a conditional header names."""
    return set(_TAG.findall(header))


def _holds(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in etags(header)
