"""Renders each entry on its own, so that one which cannot be rendered costs no other its place.

Every value that the contracts allow can be rendered, and tests draw them at random. This is for
what nobody thought of: whoever watches the fleet must not be blinded by one entry of one host. It
is the only place outside the outermost loops that catches every exception.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from cachetools import LRUCache

log = logging.getLogger(__name__)

T = TypeVar("T")

# What the `error` of an entry says that could not be rendered.
NOT_RENDERABLE = "not_renderable"
# Entries whose failure is remembered, so that it is logged once and not at every reading.
MOST_REMEMBERED = 1000
# Tracebacks of one host, which can change its failures with every message; all are counted.
MOST_LOGGED = 100
_LONGEST_REASON = 500


class EntrySubject(NamedTuple):
    """What is rendered: its kind, the host it is of, and what tells it from others of the host."""

    kind: str
    host: str
    name: str = ""


def _count_nothing(subject: EntrySubject) -> None:
    """Count failures nowhere."""


class ErrorBoundary:
    """Renders entries; `count` is told of each that cannot be, once until its failure changes."""

    def __init__(self, count: Callable[[EntrySubject], None] = _count_nothing) -> None:
        self._count = count
        self._failures: LRUCache[EntrySubject, tuple[str, str]] = LRUCache(MOST_REMEMBERED)
        self._logged: Counter[str] = Counter()

    def render(
        self, subject: EntrySubject, render: Callable[[], T], fallback: Callable[[], T]
    ) -> T:
        """Return what `render` returns, or the fallback's value where it raises anything.

        The fallback must not raise: it uses nothing but what every entry has.
        """
        try:
            return render()
        except Exception as error:
            failure = (type(error).__name__, str(error)[:_LONGEST_REASON])
            if self._is_new(subject, failure) and self._logged[subject.host] < MOST_LOGGED:
                self._logged[subject.host] += 1
                # Not the subject's name: logging calls its logger so.
                told = {"kind": subject.kind, "host": subject.host, "entry": subject.name}
                log.exception("entry not rendered", extra=told)
            return fallback()

    def _is_new(self, subject: EntrySubject, failure: tuple[str, str]) -> bool:
        known = self._failures.get(subject) == failure
        self._failures[subject] = failure
        if not known:
            self._count(subject)
        return not known
