"""Reports what the host has for new instances.

The report is complete in itself and has no number: the next one makes up for one that was lost.
Much of it changes without an event of LXD's, such as the host's bridges, so it is also checked now
and then, and sent if it has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

from services.lxd_worker.creation.capacity import Overcommit, total_capacity
from services.lxd_worker.instances.devices import root_disk
from services.lxd_worker.omissions import Omission
from services.lxd_worker.protocols import HostResources, Signal
from services.lxd_worker.reports.publishing import (
    ChangePublisher,
    FailureLog,
    ReportContext,
    RetryTimer,
)
from shared.contracts.errors import BrokerUnavailable, LxdUnavailable
from shared.contracts.events import HostDescribed
from shared.contracts.hosts import MOST_IMAGES, MOST_NETWORKS, Capacity, Image, Network
from shared.contracts.instances import DEFAULT_PROJECT
from shared.contracts.sanitizer import Unfit, fit_message, share_out
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

# Of all images in a message: 1,000 ordinary ones have 300 KB, and readers accept 4 MB in all.
IMAGES_BYTES = 3 * 2**20
_UNBOUNDED = ("description", "aliases")
# Events of these kinds may change what there is for new instances.
_KINDS = ("image-", "network-", "storage-pool-", "profile-", "project-")


@dataclass(slots=True)
class HostReport:
    """Sends what the host has: when it is requested, and when it has changed.

    `address` is that of the host's pool of ports. `signal` wakes whoever calls
    `publish_if_changed`.
    """

    context: ReportContext
    host: str
    resources: HostResources
    signal: Signal
    overcommit: Overcommit
    address: str
    scope: LxdScope
    _publisher: ChangePublisher[HostDescribed] = field(init=False)
    _retry: RetryTimer = field(init=False)
    _failures: FailureLog = field(init=False)

    def __post_init__(self) -> None:
        self._publisher = ChangePublisher(self.context, self.signal)
        self._retry = RetryTimer(self.context.later, self.signal)
        self._failures = FailureLog(log, "host not reported")

    def request(self) -> None:
        """Have it sent soon, whether or not it has changed."""
        self._publisher.request()

    def on_event(self, event: LifecycleEvent) -> None:
        """Have it checked soon if an event of LXD's may have changed it."""
        if event.metadata.action.startswith(_KINDS):
            self.resources.forget()
            self.signal()

    def publish_if_changed(self) -> None:
        """Read it, and send it if it was requested or has changed.

        What cannot be sent now is sent after the reconnection, which requests everything. What LXD
        does not answer is asked again.
        """
        self.resources.forget()
        try:
            self._publisher.publish_if_changed(self._read())
            self._retry.succeeded()
            self._failures.succeeded()
        except (LxdUnavailable, BrokerUnavailable) as exc:
            self._failures.failed(exc)
            if isinstance(exc, LxdUnavailable):
                self._retry.failed()

    def _read(self) -> HostDescribed:
        """Return what there is; where LXD refuses to answer, what was sent last.

        Raises LxdUnavailable if LXD answers nothing at all.
        """
        last = self._publisher.last or HostDescribed(epoch=self.context.epoch, at="")
        images = _answer(self.resources.images)
        networks = _answer(self.resources.networks)
        projects = _answer(self.resources.projects)
        if images is None and networks is None and projects is None:
            raise LxdUnavailable(self.host)
        capacity = _answer(self._capacity)
        self._omit_refused(images=images, networks=networks, projects=projects, capacity=capacity)
        return HostDescribed(
            epoch=self.context.epoch,
            at="",
            capacity=capacity,
            images=last.images if images is None else self._images(images),
            networks=last.networks if networks is None else self._fitting(networks, MOST_NETWORKS),
            projects=last.projects if projects is None else self._served(projects),
            address=self.address,
        )

    def _omit_refused(self, **answers: object) -> None:
        for question, answer in answers.items():
            if answer is None:
                self.context.omit(Omission.QUESTION, question, "LXD refuses to answer")

    def _images(self, images: Sequence[Image]) -> list[Image]:
        shared = share_out(self._fitting(images, MOST_IMAGES), IMAGES_BYTES, _UNBOUNDED)
        for image, cut in shared:
            if cut:
                self.context.omit(Omission.FIELDS, image.fingerprint, ", ".join(cut))
        return [image for image, _ in shared]

    def _served(self, projects: Iterable[str]) -> list[str]:
        return list(filter(self.scope.serves, projects))[:MOST_NETWORKS]

    def _fitting(self, found: Sequence[S], most: int) -> list[S]:
        """Return as many of these as a message holds, each within its bounds."""
        fitting = [one for one in map(self._fit, found) if one]
        if left_out := len(fitting[most:]):
            self.context.omit(Omission.FIELDS, type(found[0]).__name__, f"{left_out} too many")
        return fitting[:most]

    def _fit(self, one: S) -> S | None:
        subject = _subject(one)
        try:
            fitting, left_out = fit_message(one)
        except Unfit as exc:
            self.context.omit(Omission.FIELDS, subject, str(exc))
            return None
        if left_out:
            self.context.omit(Omission.FIELDS, subject, ", ".join(left_out))
        return fitting

    def _capacity(self) -> Capacity | None:
        _, disk = root_disk(self.resources.default_devices(DEFAULT_PROJECT))
        space = self.resources.pool_size(disk.get("pool") or self.resources.default_pool())
        return self._fit(total_capacity(self.resources.machine(), space, self.overcommit))


def _subject(one: Struct) -> str:
    match one:
        case Image():
            return f"image {one.fingerprint}"
        case Network():
            return f"network {one.name}"
    return type(one).__name__


def _answer(ask: Callable[[], T]) -> T | None:
    """Return LXD's answer to one question, None if it refuses to answer."""
    try:
        return ask()
    except LxdUnavailable:
        return None
