"""Telling the fleet what the image servers have that the operator allows.

LXD fetches images itself when it is told to; this is only for those who choose one. So a server
that cannot be read changes nothing but the list, which then stays as it was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import chain, islice

from msgspec.structs import replace

from services.lxd_worker.creation.images import Remotes
from services.lxd_worker.ports import (
    Fetch,
    HostResources,
    ImageServerAway,
    Omission,
    Omit,
    Publish,
    Signal,
    WorkerClock,
)
from services.lxd_worker.reports.simplestreams import (
    INDEX,
    DaemonCapabilities,
    UnreadableCatalogue,
    product_files,
    served,
)
from shared.contracts.codec import encode
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import ImageServersRead
from shared.contracts.fitting import beginning
from shared.contracts.hosts import MOST_SERVED, Served, ServedImage

log = logging.getLogger(__name__)

# LXD reads a catalogue as often as that at the most.
EVERY_S = 3600.0
# Of all servers' images as they are sent: a server has 40 KB, and readers take 4 MB.
MOST_BYTES = 3 * 2**20
AGAIN_S = 300.0


@dataclass(slots=True)
class ImageServersReport:
    """Reads the servers now and then; sends what they have when it is wanted or different."""

    epoch: int
    remotes: Remotes
    offer: HostResources
    fetch: Fetch
    publish: Publish
    clock: WorkerClock
    wanted: Signal
    omit: Omit
    _found: dict[str, Served] = field(init=False)
    _due: dict[str, float] = field(init=False)
    _away: set[str] = field(default_factory=set)
    _anyhow: bool = False
    _told: ImageServersRead | None = None

    def __post_init__(self) -> None:
        self._found = dict.fromkeys(self.remotes)
        self._due = dict.fromkeys(self.remotes, self.clock.monotonic())

    def want(self) -> None:
        """Have it sent soon, whether or not it is different."""
        self._anyhow = True
        self.wanted()

    def read(self) -> None:
        """Read the servers that were not read for an hour, or could not be for five minutes.

        Raises LxdUnavailable: what the host can run has to be known for it.
        """
        due = [name for name, at in self._due.items() if at <= self.clock.monotonic()]
        if not due:
            return
        runs = self.offer.runs()
        for name in due:
            self._read(name, runs)
        self.wanted()

    def fulfil(self) -> None:
        """Send what is known if it is wanted or different; see `HostReport.fulfil`."""
        found = ImageServersRead(epoch=self.epoch, at="", servers=self._fitting())
        if not self._anyhow and found == self._told:
            return
        try:
            self.publish(replace(found, at=self.clock.now()))
            self._anyhow, self._told = False, found
        except BrokerUnavailable as exc:
            log.warning("image servers not reported", extra={"error": str(exc)})

    def _fitting(self) -> dict[str, Served]:
        """Return what each server has, as far as it is no more than its share of a message."""
        if len(encode(ImageServersRead(epoch=0, at="", servers=self._found))) <= MOST_BYTES:
            return dict(self._found)
        share = MOST_BYTES // len(self._found)
        return {name: self._beginning(name, each, share) for name, each in self._found.items()}

    def _beginning(self, name: str, images: Served, share: int) -> Served:
        if images is None:
            return None
        first: list[ServedImage] = beginning(images, share)
        if left_out := len(images) - len(first):
            self.omit(Omission.FIELDS, name, f"{left_out} images too many")
        return first

    def _read(self, name: str, runs: DaemonCapabilities) -> None:
        try:
            self._found[name] = self._images(self.remotes[name], runs)
        except (ImageServerAway, UnreadableCatalogue) as exc:
            if name not in self._away:
                log.warning("image server not read", extra={"server": name, "error": str(exc)})
            self._away.add(name)
            self._due[name] = self.clock.monotonic() + AGAIN_S
        else:
            self._away.discard(name)
            self._due[name] = self.clock.monotonic() + EVERY_S

    def _images(self, address: str, runs: DaemonCapabilities) -> list[ServedImage]:
        files = product_files(self.fetch(address, INDEX))
        found = (served(self.fetch(address, file), runs) for file in files)
        return list(islice(chain.from_iterable(found), MOST_SERVED))
