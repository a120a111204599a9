"""LXD's and Incus's errors, and the fleet's errors for them."""

from __future__ import annotations

import re
from http import HTTPStatus

from shared.contracts.bounds import clip
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused, LxdUnavailable

# What LXD and Incus answer about an instance that they still start, stop or restore, also by
# themselves: after a failed start they clean up for a second.
_BUSY = re.compile(r'busy running an? "?[\w -]+"? operation')


class LxdNotFound(Exception):
    """LXD answered 404."""


class PreconditionFailed(Exception):
    """What was to be replaced has changed since it was read."""


class UnreadableAnswer(Exception):
    """LXD's answer cannot be read."""


class AnswerTooLong(UnreadableAnswer):
    """LXD's answer is longer than any that is read."""


# What a request raises if LXD refuses it, but works.
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
    """Return LXD's refusal as an error: LXD is busy for a moment, or it refuses for good."""
    return (LxdBusy if _BUSY.search(reason) else LxdRefused)(clip(reason))
