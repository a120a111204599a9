"""Reports which images the operator's image servers have.

LXD itself fetches an image when it is told to; the report is for choosing one. So a server that
cannot be read changes nothing but the list, which then stays as it was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import chain, islice

from services.lxd_worker.creation.request import Remotes
from services.lxd_worker.omissions import Omission
from services.lxd_worker.protocols import (
    DaemonCapabilities,
    Fetch,
    HostResources,
    ImageServerAway,
    Signal,
)
from services.lxd_worker.reports.publishing import ChangePublisher, FailureLog, ReportContext
from services.lxd_worker.reports.simplestreams import (
    INDEX,
    UnreadableCatalogue,
    product_files,
    usable_images,
)
from shared.contracts.codec import encode
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import ImageServersRead
from shared.contracts.hosts import MOST_SERVED, Served, ServedImage
from shared.contracts.sanitizer import beginning

log = logging.getLogger(__name__)

# LXD reads a catalogue at most this often.
EVERY_S = 3600.0
AGAIN_S = 300.0
# Of all servers' images in a message: a server has 40 KB, and readers accept 4 MB.
MOST_BYTES = 3 * 2**20


@dataclass(slots=True)
class ImageServersReport:
    """Reads the servers now and then; sends what they have if it was requested or has changed."""

    context: ReportContext
    remotes: Remotes
    resources: HostResources
    fetch: Fetch
    signal: Signal
    _publisher: ChangePublisher[ImageServersRead] = field(init=False)
    _failures: FailureLog = field(init=False)
    _found: dict[str, Served] = field(init=False)
    _due: dict[str, float] = field(init=False)
    _away: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._publisher = ChangePublisher(self.context, self.signal)
        self._failures = FailureLog(log, "image servers not reported")
        self._found = dict.fromkeys(self.remotes)
        self._due = dict.fromkeys(self.remotes, self.context.clock.monotonic())

    def request(self) -> None:
        """Have it sent soon, whether or not it has changed."""
        self._publisher.request()

    def read_due(self) -> None:
        """Read each server that was not read for an hour, or not reachable for five minutes.

        Raises LxdUnavailable: which images are of use depends on what the host can run.
        """
        due = [name for name, at in self._due.items() if at <= self.context.clock.monotonic()]
        if not due:
            return
        capabilities = self.resources.capabilities()
        for name in due:
            self._read(name, capabilities)
        self.signal()

    def publish_if_changed(self) -> None:
        """Send what is known if it was requested or has changed; see `HostReport`."""
        report = ImageServersRead(epoch=self.context.epoch, at="", servers=self._fitting())
        try:
            self._publisher.publish_if_changed(report)
            self._failures.succeeded()
        except BrokerUnavailable as exc:
            self._failures.failed(exc)

    def _fitting(self) -> dict[str, Served]:
        """Return what each server has, up to its share of a message."""
        if len(encode(ImageServersRead(epoch=0, at="", servers=self._found))) <= MOST_BYTES:
            return dict(self._found)
        share = MOST_BYTES // len(self._found)
        return {name: self._beginning(name, each, share) for name, each in self._found.items()}

    def _beginning(self, name: str, images: Served, share: int) -> Served:
        if images is None:
            return None
        first: list[ServedImage] = beginning(images, share)
        if left_out := len(images) - len(first):
            self.context.omit(Omission.FIELDS, name, f"{left_out} images too many")
        return first

    def _read(self, name: str, capabilities: DaemonCapabilities) -> None:
        try:
            self._found[name] = self._images(self.remotes[name], capabilities)
        except (ImageServerAway, UnreadableCatalogue) as exc:
            if name not in self._away:
                log.warning("image server not read", extra={"server": name, "error": str(exc)})
            self._away.add(name)
            self._due[name] = self.context.clock.monotonic() + AGAIN_S
        else:
            self._away.discard(name)
            self._due[name] = self.context.clock.monotonic() + EVERY_S

    def _images(self, address: str, capabilities: DaemonCapabilities) -> list[ServedImage]:
        files = product_files(self.fetch(address, INDEX))
        found = (usable_images(self.fetch(address, file), capabilities) for file in files)
        return list(islice(chain.from_iterable(found), MOST_SERVED))
