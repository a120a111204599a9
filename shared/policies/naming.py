"""The names of the snapshots that policies take.

A pattern has the placeholders `{policy}`, `{instance}` and `{time}` (the slot in UTC, as
`20261129T204500Z`). LXD takes at most 63 characters: of these `{instance}` gets what the others
leave, since it is the same for all snapshots of an instance.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shared.contracts.errors import InvalidInput
from shared.contracts.policies import Policy
from shared.policies import rules

LONGEST_NAME = 63
LEAST_OF_INSTANCE = 8
POLICY, INSTANCE, TIME = "{policy}", "{instance}", "{time}"

_PLACEHOLDER = re.compile(r"\{(?:policy|instance|time)\}")
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_TIME_LENGTH = len("20261129T204500Z")
# As for the worker's check of a snapshot's name.
_VALID = re.compile(r"[^\s/%?+&.\x00-\x1f\x7f-\x9f][^\s/%?+&\x00-\x1f\x7f-\x9f]*")


def snapshot_name(policy: Policy, instance: str, slot: datetime) -> str:
    """Return the name of the snapshot of a slot; the policy's pattern has been checked."""
    values = {
        POLICY: policy.name,
        INSTANCE: instance[: _left_for_instance(policy.pattern, policy.name)],
        TIME: slot.astimezone(UTC).strftime(_TIME_FORMAT),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[0]], policy.pattern)


def check_pattern(pattern: str, policy: str) -> None:
    """Raise InvalidInput for a pattern that gives no valid names, or the same one twice."""
    literal = _PLACEHOLDER.sub("", pattern)
    if TIME not in pattern:
        raise InvalidInput("pattern", rules.PATTERN_TIME)
    if "{" in literal or "}" in literal:
        raise InvalidInput("pattern", rules.PATTERN_PLACEHOLDERS)
    if not _VALID.fullmatch(_PLACEHOLDER.sub("x", pattern)):
        raise InvalidInput("pattern", rules.PATTERN_CHARACTERS)
    least = LEAST_OF_INSTANCE if INSTANCE in pattern else 0
    if _left_for_instance(pattern, policy) < least:
        raise InvalidInput("pattern", rules.PATTERN_LENGTH)


def _left_for_instance(pattern: str, policy: str) -> int:
    """Return how many characters each `{instance}` may have; below 0: the rest is too long."""
    taken = (
        len(_PLACEHOLDER.sub("", pattern))
        + pattern.count(POLICY) * len(policy)
        + pattern.count(TIME) * _TIME_LENGTH
    )
    return (LONGEST_NAME - taken) // max(1, pattern.count(INSTANCE))
