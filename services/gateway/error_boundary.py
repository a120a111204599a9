"""Renders each entry on its own, so that one that fails does not affect the others.

Every value that the contracts allow can be rendered, which tests check with random values. This is
for bugs: one entry of one host must not hide the fleet. It is the only place outside the outermost
loops that catches every exception.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from cachetools import LRUCache

log = logging.getLogger(__name__)

T = TypeVar("T")

# The `error` of an entry that could not be rendered.
NOT_RENDERABLE = "not_renderable"
# Failures remembered, so that each is logged once and not at every read.
MOST_REMEMBERED = 1000
# Tracebacks per host, which can change its failures with every message; all are counted.
MOST_LOGGED = 100
_LONGEST_REASON = 500


class EntrySubject(NamedTuple):
    """What is rendered: its kind, its host, and its name on the host."""

    kind: str
    host: str
    name: str = ""


def _ignore(subject: EntrySubject) -> None:
    """Ignore a failure."""


class ErrorBoundary:
    """Renders entries; `on_failure` is called for each new or changed failure."""

    def __init__(self, on_failure: Callable[[EntrySubject], None] = _ignore) -> None:
        self._on_failure = on_failure
        self._failures: LRUCache[EntrySubject, tuple[str, str]] = LRUCache(MOST_REMEMBERED)
        self._logged: Counter[str] = Counter()

    def render(
        self, subject: EntrySubject, render: Callable[[], T], fallback: Callable[[], T]
    ) -> T:
        """Return the result of `render`, or of `fallback` if it raises anything.

        The fallback must not raise: it uses only what every entry has.
        """
        try:
            return render()
        except Exception as error:
            failure = (type(error).__name__, str(error)[:_LONGEST_REASON])
            if self._is_new(subject, failure) and self._logged[subject.host] < MOST_LOGGED:
                self._logged[subject.host] += 1
                # Not `name`: that is an attribute of log records.
                fields = {"kind": subject.kind, "host": subject.host, "entry": subject.name}
                log.exception("entry not rendered", extra=fields)
            return fallback()

    def _is_new(self, subject: EntrySubject, failure: tuple[str, str]) -> bool:
        logged = self._failures.get(subject) == failure
        self._failures[subject] = failure
        if not logged:
            self._on_failure(subject)
        return not logged
