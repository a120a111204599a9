"""Telling the fleet what the host has for new instances.

That is complete in itself and takes no number: what was lost is made up for by the next one. Much
of it changes without an event of LXD's, a bridge of the host's for one, so it is also looked at now
and then, and told when it is different.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from services.lxd_worker.domain.capacity import Overcommit, offered
from services.lxd_worker.domain.creation_devices import root
from services.lxd_worker.domain.lifecycle import LxdEvent
from services.lxd_worker.ports import Clock, Offer, Publish, Ring
from shared.contracts.errors import BrokerUnavailable, LxdUnavailable
from shared.contracts.events import HostDescribed
from shared.contracts.hosts import MOST_IMAGES, MOST_NETWORKS, Capacity
from shared.contracts.instances import DEFAULT_PROJECT
from shared.platform.lxd_scope import LxdScope

log = logging.getLogger(__name__)

# Events of these may change what there is for new instances.
_KINDS = ("image-", "network-", "storage-pool-", "profile-", "project-")


@dataclass(slots=True)
class HostReport:
    """Sends what the host has: when somebody wants it, and when it is different.

    `address` is that of the host's pool of ports.
    """

    epoch: int
    offer: Offer
    publish: Publish
    clock: Clock
    wanted: Ring
    overcommit: Overcommit
    address: str
    scope: LxdScope
    _anyhow: bool = False
    _told: HostDescribed | None = None

    def want(self) -> None:
        """Have it sent soon, whether or not it is different."""
        self._anyhow = True
        self.wanted()

    def heard(self, event: LxdEvent) -> None:
        """Have it looked at soon when an event of LXD's may have changed it."""
        if event.metadata.action.startswith(_KINDS):
            self.offer.forget()
            self.wanted()

    def fulfil(self) -> None:
        """Look at it, and send it if it is wanted or different.

        What cannot be sent now is sent after the reconnection, for which everything is wanted.
        """
        self.offer.forget()
        try:
            found = self._described()
            if self._anyhow or found != self._told:
                self.publish(replace(found, at=self.clock.now()))
                self._anyhow, self._told = False, found
        except (LxdUnavailable, BrokerUnavailable) as exc:
            log.warning("host not reported", extra={"error": str(exc)})

    def _described(self) -> HostDescribed:
        return HostDescribed(
            epoch=self.epoch,
            at="",
            capacity=self._capacity(),
            images=self.offer.images()[:MOST_IMAGES],
            networks=self.offer.networks()[:MOST_NETWORKS],
            projects=list(filter(self.scope.serves, self.offer.projects()))[:MOST_NETWORKS],
            address=self.address,
        )

    def _capacity(self) -> Capacity | None:
        """A storage pool that tells nothing hides no images and networks."""
        try:
            _, disk = root(self.offer.default_devices(DEFAULT_PROJECT))
            space = self.offer.pool_size(disk.get("pool") or self.offer.default_pool())
            return offered(self.offer.machine(), space, self.overcommit)
        except LxdUnavailable:
            return None
