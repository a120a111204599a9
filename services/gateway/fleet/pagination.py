"""Parts of a list: by number, or from a cursor on.

A cursor names the last instance of a part by what the lists are ordered by, so that the next part
begins right after it, whatever came or went in between.
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
_place = msgspec.json.Decoder(SortKey)


class PageRequest(NamedTuple):
    """At most `limit` of a list, from the page's first on, or from behind `cursor`."""

    limit: int
    page: int = 1
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list of `total`, as the `page`th; `next_cursor` is None at the end."""

    entries: Sequence[T]
    total: int
    page: int
    next_cursor: str | None


def sort_key(known: InstanceView) -> SortKey:
    """Return what the lists are ordered by."""
    return known.instance.name, known.host, known.instance.project


def paginate(listed: Sequence[T], part: PageRequest, place_of: Callable[[T], SortKey]) -> Page[T]:
    """Return a part of a list that is in order; raise InvalidInput for what is no cursor."""
    start = (part.page - 1) * part.limit
    if part.cursor is not None:
        start = bisect_right(listed, _read(part.cursor), key=place_of)
    entries = listed[start : start + part.limit]
    more = bool(entries) and start + part.limit < len(listed)
    return Page(
        entries=entries,
        total=len(listed),
        page=start // part.limit + 1,
        next_cursor=_written(place_of(entries[-1])) if more else None,
    )


def _written(sort_key: SortKey) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(sort_key)).decode().rstrip("=")


def _read(cursor: str) -> SortKey:
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        name, host, project = _place.decode(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise InvalidInput("cursor", "cursor") from None
    return name, host, project
