"""What the worker goes on without: counted for Prometheus, and logged once for each subject."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter

from shared.contracts.bounds import LONGEST_WORD, clip

log = logging.getLogger(__name__)

# So many subjects are remembered as logged; beyond that, some are logged again.
MOST_LOGGED = 10_000
_LONGEST_REASON = 500


class Omission(StrEnum):
    """What was left out, so that one owner's data does no harm to anybody else.

    `ANSWER`: a part of an answer of LXD's that cannot be read. `QUESTION`: what LXD refused to
    report about the host. `EVENT`: an event of LXD's that cannot be read. `INSTANCE`: a whole
    instance, `FIELDS`: values of an instance, an image or a network, that no message can hold.
    `OPERATION`: a row of the journal that cannot be read, `POLICY`: one about snapshot policies.
    `MESSAGE`: a whole message to the fleet.
    """

    ANSWER = "answer"
    QUESTION = "question"
    EVENT = "event"
    INSTANCE = "instance"
    FIELDS = "fields"
    OPERATION = "operation"
    POLICY = "policy"
    MESSAGE = "message"


# Records that something is left out: what of, whose it is (a path, a name, an id) and why.
Omit = Callable[[Omission, str, str], None]


class Omissions:
    """Counts every omission and logs the first of each subject; an `Omit`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "lxdfleet_worker_dropped",
            "What was left out because it could not be read, or is more than a message takes.",
            ("what",),
            registry=registry,
        )
        for what in Omission:
            self._count.labels(what)
        self._logged: set[tuple[Omission, str]] = set()

    def __call__(self, what: Omission, subject: str, reason: str) -> None:
        """Record that something is left out, and why."""
        self._count.labels(what).inc()
        subject = clip(subject, LONGEST_WORD)
        if (what, subject) in self._logged:
            return
        if len(self._logged) >= MOST_LOGGED:
            self._logged.clear()
        self._logged.add((what, subject))
        extra = {"what": what.value, "of": subject, "reason": clip(reason, _LONGEST_REASON)}
        log.warning("left out", extra=extra)
