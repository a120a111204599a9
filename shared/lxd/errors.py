"""What LXD's and Incus's errors mean to the fleet."""

from __future__ import annotations

import re
from http import HTTPStatus

from shared.contracts.bounds import clip
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused, LxdUnavailable

# So says LXD, and Incus, of an instance that it still starts, stops or restores, also by itself:
# after a failed start it tidies up for a second.
_BUSY = re.compile(r'busy running an? "?[\w -]+"? operation')


class LxdNotFound(Exception):
    """LXD answered 404."""


class PreconditionFailed(Exception):
    """What was to be replaced is not as it was when it was read."""


class UnreadableAnswer(Exception):
    """LXD answers with nothing that can be read."""


class AnswerTooLong(UnreadableAnswer):
    """LXD answers with more than is read of one answer."""


# What a request that LXD refuses raises, while LXD itself is well.
REFUSALS = (LxdNotFound, PreconditionFailed, LxdRefused, LxdBusy)


def error_for(status: int, reason: str, host: str) -> Exception:
    """Return the error for an HTTP status and LXD's words."""
    if status == HTTPStatus.NOT_FOUND:
        return LxdNotFound(clip(reason))
    if status == HTTPStatus.PRECONDITION_FAILED:
        return PreconditionFailed(clip(reason))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return LxdUnavailable(host)
    return to_refusal(reason)


def to_refusal(reason: str) -> FleetError:
    """Return the error for a refusal in LXD's words: busy for a moment, or refused for good."""
    return (LxdBusy if _BUSY.search(reason) else LxdRefused)(clip(reason))
