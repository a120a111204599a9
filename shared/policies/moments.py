"""Times as text: RFC 3339 in UTC, in whole seconds where we write them."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.contracts.errors import InvalidInput
from shared.policies import rules


def slot_text(moment: datetime) -> str:
    """Return a time in RFC 3339, in UTC and whole seconds, with Z; a fraction is cut off."""
    return f"{moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()}Z"


def parse_moment(text: str) -> datetime:
    """Return the time, aware and in UTC; raises InvalidInput for a text that is none."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("moment", rules.MOMENT)
