"""Pages of a list: by number, or from a cursor on.

A cursor holds the sort key of a page's last instance, so that the next page begins right after it,
whatever was added or removed in between.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import InvalidInput

T = TypeVar("T")
# Name, host, project.
SortKey = tuple[str, str, str]
_decoder = msgspec.json.Decoder(SortKey)


class PageRequest(NamedTuple):
    """At most `limit` entries, from the start of a page on, or after `cursor`."""

    limit: int
    page: int = 1
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list of `total` entries; `next_cursor` is None at the end."""

    entries: Sequence[T]
    total: int
    page: int
    next_cursor: str | None


def sort_key(view: InstanceView) -> SortKey:
    """Return the key that lists are sorted by."""
    return view.instance.name, view.host, view.instance.project


def paginate(entries: Sequence[T], request: PageRequest, key_of: Callable[[T], SortKey]) -> Page[T]:
    """Return one page of a sorted list; raise InvalidInput for an invalid cursor."""
    start = (request.page - 1) * request.limit
    if request.cursor is not None:
        start = bisect_right(entries, _decode_cursor(request.cursor), key=key_of)
    page = entries[start : start + request.limit]
    more = bool(page) and start + request.limit < len(entries)
    return Page(
        entries=page,
        total=len(entries),
        page=start // request.limit + 1,
        next_cursor=_encode_cursor(key_of(page[-1])) if more else None,
    )


def _encode_cursor(key: SortKey) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _decode_cursor(cursor: str) -> SortKey:
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        name, host, project = _decoder.decode(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise InvalidInput("cursor", "cursor") from None
    return name, host, project
