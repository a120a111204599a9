"""What LXD last told of its running instances, and when to ask it again.

LXD is asked by a duty beside the rounds, so that a slow LXD holds up no sample; a round asks itself
only where nothing but LXD can measure. One question at a time: an older answer never replaces a
newer one.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from services.metrics.domain.described import DescribedInstance
from services.metrics.domain.lifecycle import SOON_S, LxdEvent
from services.metrics.domain.reading import (
    HostReading,
    Identity,
    InstanceReading,
    Pools,
    told_by_lxd,
)
from services.metrics.domain.sanitize import Dropped
from services.metrics.domain.usage import InstanceRefused
from services.metrics.domain.wishes import Wishes
from services.metrics.handlers.availability import Availability
from services.metrics.handlers.details import RunDetails
from services.metrics.handlers.instance_problems import FAILURES, InstanceProblems
from services.metrics.handlers.remembered import Remembered
from services.metrics.ports import Lxd, Monotonic, ReadHost
from shared.contracts.errors import LxdUnavailable

# How old the space of the storage pools may be, which costs a request for each of them.
POOLS_S = 30.0


class Roster:
    """The running instances as LXD told of them.

    Everything is asked for once in `period_s`; events make it ask in between.
    """

    def __init__(
        self,
        lxd: Lxd,
        host: ReadHost,
        clock: Monotonic,
        problems: InstanceProblems,
        *,
        period_s: float,
    ) -> None:
        self.problems = problems
        self._lxd = lxd
        self._host = host
        self._clock = clock
        self._pools = Remembered(lxd.pools, clock, POOLS_S, Pools({}))
        self._details = RunDetails(lxd, clock, problems)
        self._wishes = Wishes(period_s=period_s, now_s=clock())
        self._told: dict[Identity, InstanceReading] = {}
        self._one_at_a_time = threading.Lock()
        self._lxd_itself = Availability("LXD")

    @property
    def running(self) -> Collection[InstanceReading]:
        """The instances that ran when LXD last told of them."""
        return list(self._told.values())

    @property
    def pools(self) -> Pools:
        """The storage pools when LXD last told of them."""
        return self._pools.last

    @property
    def lxd_answers(self) -> bool:
        """Whether LXD answered the last time."""
        return self._lxd_itself.available

    def heard(self, event: LxdEvent) -> None:
        """Take in an event of LXD's."""
        now_s = self._clock()
        if event.concerns_many:
            self._wishes.everything(now_s + SOON_S)
        for look_s in event.looks_s:
            self._wishes.look(event.identity, now_s + look_s)

    def listening(self) -> None:
        """Take in that events are heard from now on; those before were not."""
        self._wishes.everything(self._clock())

    def doubt(self, identity: Identity) -> None:
        """Take in that an instance is not as LXD told; the event that says so may be lost."""
        self._wishes.look(identity, self._clock() + SOON_S)

    def want_details(self, wanted: bool) -> None:
        """Take in whether LXD's metrics are worth a request: whether nobody else measures some."""
        self._details.wanted = wanted

    def ask_if_due(self) -> None:
        """Ask LXD what it is time to ask."""
        now_s = self._clock()
        if self._wishes.everything_due(now_s):
            self.ask_everything()
        elif identities := self._wishes.looks_due(now_s):
            self._ask_about(identities)

    def ask_everything(self) -> None:
        """Ask LXD about all instances, in one request."""
        with self._question() as asked_s:
            pools, host = self._pools.read(), self._host()
            described = self._lxd.instances()
            at_s = self._between(asked_s)
            told = [self._understood(at_s, each, host, pools) for each in described]
            running = [self._details.added_to(each) for each in told if each is not None]
            self._told = {each.identity: each for each in running}
            self._details.forget_others(running)
            self.problems.forget_others([(each.project, each.name) for each in described])
            self._wishes.saw_everything(asked_s)

    def _ask_about(self, identities: Sequence[Identity]) -> None:
        with self._question():
            for identity in identities:
                asked_s = self._clock()
                try:
                    described = self._lxd.instance(*identity)
                except InstanceRefused as exc:
                    # It stays as it was told: the question for all of them may tell more.
                    self.problems.failed(identity, exc)
                else:
                    self._note(identity, described, self._between(asked_s))
                self._wishes.looked(identity, asked_s)

    def _note(self, identity: Identity, described: DescribedInstance | None, at_s: float) -> None:
        told = described and self._understood(at_s, described, self._host(), self._pools.read())
        if told:
            self._told[identity] = self._details.added_to(told)
        else:
            self._told.pop(identity, None)

    def _understood(
        self, at_s: float, described: DescribedInstance, host: HostReading, pools: Pools
    ) -> InstanceReading | None:
        identity, dropped = (described.project, described.name), Dropped()
        try:
            told = told_by_lxd(at_s, described, host, pools, dropped)
        except FAILURES as exc:
            self.problems.failed(identity, exc)
            return None
        self.problems.left_out(identity, dropped)
        return told

    def _between(self, asked_s: float) -> float:
        # LXD reads one instance after another while we wait: the middle is off by the least.
        return (asked_s + self._clock()) / 2

    @contextmanager
    def _question(self) -> Iterator[float]:
        with self._one_at_a_time:
            try:
                yield self._clock()
            except LxdUnavailable as exc:
                self._wishes.failed(self._clock())
                self._lxd_itself.note(exc)
            else:
                self._lxd_itself.note(None)
