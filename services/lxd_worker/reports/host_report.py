"""Telling the fleet what the host has for new instances.

That is complete in itself and takes no number: what was lost is made up for by the next one. Much
of it changes without an event of LXD's, a bridge of the host's for one, so it is also looked at now
and then, and told when it is different.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from services.lxd_worker.creation.capacity import Overcommit, offered
from services.lxd_worker.creation.devices import root
from services.lxd_worker.ports import (
    CallLater,
    HostResources,
    Omission,
    Omit,
    Publish,
    Signal,
    WorkerClock,
)
from services.lxd_worker.reports.retry_timer import RetryTimer
from shared.contracts.errors import BrokerUnavailable, LxdUnavailable
from shared.contracts.events import HostDescribed
from shared.contracts.fitting import Unfit, fit_message, share_out
from shared.contracts.hosts import MOST_IMAGES, MOST_NETWORKS, Capacity, Image, Network
from shared.contracts.instances import DEFAULT_PROJECT
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

# Of all images as they are sent: 1,000 ordinary ones have 300 KB, and readers take 4 MB in all.
IMAGES_BYTES = 3 * 2**20
_UNBOUNDED = ("description", "aliases")
# Events of these may change what there is for new instances.
_KINDS = ("image-", "network-", "storage-pool-", "profile-", "project-")


@dataclass(slots=True)
class HostReport:
    """Sends what the host has: when somebody wants it, and when it is different.

    `address` is that of the host's pool of ports.
    """

    host: str
    epoch: int
    offer: HostResources
    publish: Publish
    clock: WorkerClock
    wanted: Signal
    overcommit: Overcommit
    address: str
    scope: LxdScope
    omit: Omit
    later: CallLater
    _anyhow: bool = False
    _told: HostDescribed | None = None
    _retry: RetryTimer = field(init=False)

    def __post_init__(self) -> None:
        self._retry = RetryTimer(self.later, self.wanted)

    def want(self) -> None:
        """Have it sent soon, whether or not it is different."""
        self._anyhow = True
        self.wanted()

    def heard(self, event: LifecycleEvent) -> None:
        """Have it looked at soon when an event of LXD's may have changed it."""
        if event.metadata.action.startswith(_KINDS):
            self.offer.forget()
            self.wanted()

    def fulfil(self) -> None:
        """Look at it, and send it if it is wanted or different.

        What cannot be sent now is sent after the reconnection, for which everything is wanted.
        What LXD does not tell is asked for again.
        """
        self.offer.forget()
        try:
            found = self._described()
            if self._anyhow or found != self._told:
                self.publish(replace(found, at=self.clock.now()))
                self._anyhow, self._told = False, found
            self._retry.worked()
        except (LxdUnavailable, BrokerUnavailable) as exc:
            log.warning("host not reported", extra={"error": str(exc)})
            if isinstance(exc, LxdUnavailable):
                self._retry.failed()

    def _described(self) -> HostDescribed:
        """Return what there is; of what LXD refuses to tell, what was told last.

        Raises LxdUnavailable when LXD tells nothing at all.
        """
        told = self._told or HostDescribed(epoch=self.epoch, at="")
        images = _answer(self.offer.images)
        networks = _answer(self.offer.networks)
        projects = _answer(self.offer.projects)
        if images is None and networks is None and projects is None:
            raise LxdUnavailable(self.host)
        capacity = _answer(self._capacity)
        self._note_refusals(images=images, networks=networks, projects=projects, capacity=capacity)
        return HostDescribed(
            epoch=self.epoch,
            at="",
            capacity=capacity,
            images=told.images if images is None else self._images(images),
            networks=told.networks if networks is None else self._fitting(networks, MOST_NETWORKS),
            projects=told.projects if projects is None else self._served(projects),
            address=self.address,
        )

    def _note_refusals(self, **answers: object) -> None:
        for question, answer in answers.items():
            if answer is None:
                self.omit(Omission.QUESTION, question, "LXD does not tell")

    def _images(self, images: Sequence[Image]) -> list[Image]:
        shared = share_out(self._fitting(images, MOST_IMAGES), IMAGES_BYTES, _UNBOUNDED)
        for image, cut in shared:
            if cut:
                self.omit(Omission.FIELDS, image.fingerprint, ", ".join(cut))
        return [image for image, _ in shared]

    def _served(self, projects: Iterable[str]) -> list[str]:
        return list(filter(self.scope.serves, projects))[:MOST_NETWORKS]

    def _fitting(self, found: Sequence[S], most: int) -> list[S]:
        """Return as many of these as a message takes, each within its bounds."""
        fitting = [one for one in map(self._fit, found) if one]
        if left_out := len(fitting[most:]):
            self.omit(Omission.FIELDS, type(found[0]).__name__, f"{left_out} too many")
        return fitting[:most]

    def _fit(self, one: S) -> S | None:
        subject = _subject(one)
        try:
            fitting, left_out = fit_message(one)
        except Unfit as exc:
            self.omit(Omission.FIELDS, subject, str(exc))
            return None
        if left_out:
            self.omit(Omission.FIELDS, subject, ", ".join(left_out))
        return fitting

    def _capacity(self) -> Capacity | None:
        _, disk = root(self.offer.default_devices(DEFAULT_PROJECT))
        space = self.offer.pool_size(disk.get("pool") or self.offer.default_pool())
        return self._fit(offered(self.offer.machine(), space, self.overcommit))


def _subject(one: Struct) -> str:
    match one:
        case Image():
            return f"image {one.fingerprint}"
        case Network():
            return f"network {one.name}"
    return type(one).__name__


def _answer(ask: Callable[[], T]) -> T | None:
    """Return what LXD answers to one question, None where it refuses to."""
    try:
        return ask()
    except LxdUnavailable:
        return None
