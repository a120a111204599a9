"""The time that somebody asks the measurements of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.contracts.errors import InvalidInput

DEFAULT_LENGTH = timedelta(hours=1)


class Period(NamedTuple):
    """From one moment to another one, both included."""

    begins: datetime
    ends: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.begins <= moment <= self.ends


def period(begins: str | None, ends: str | None, now: datetime) -> Period:
    """Return the period between two ISO 8601 texts; without zone they are UTC.

    The end is now by default, the beginning an hour before the end. Raises InvalidInput, which
    calls them `from` and `to`.
    """
    last = _moment("to", ends) if ends else now
    first = _moment("from", begins) if begins else _before(last)
    if first > last:
        raise InvalidInput("from", "not_after_to")
    return Period(first, last)


def _moment(field: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(field, "iso_8601") from None


def _before(moment: datetime) -> datetime:
    try:
        return moment - DEFAULT_LENGTH
    except OverflowError:
        return moment
