"""What an event of LXD's says to ask about."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

from msgspec import Struct

from services.metrics.sampler.reading import Identity
from shared.contracts.instances import DEFAULT_PROJECT

# Seconds after an event until LXD is asked: soon, but for a burst of events only once; after a
# start again, for the address that the instance gets by DHCP only some time later.
SOON_S = 0.1
AFTER_START_S = (SOON_S, 3.0, 10.0)

_STARTS = {"instance-started", "instance-restarted", "instance-restored"}
_CHANGES = {"instance-updated", "instance-stopped", "instance-shutdown", "instance-deleted"}
_CHANGES_OF_MANY = {"profile-updated", "project-updated"}


class Metadata(Struct, frozen=True):
    """The part of an event that says what happened to what."""

    action: str = ""
    source: str = ""


class LxdEvent(Struct, frozen=True):
    """One event as LXD sends it; all else in it is ignored."""

    metadata: Metadata = Metadata()
    project: str = DEFAULT_PROJECT
    location: str = ""

    @property
    def identity(self) -> Identity:
        """The instance that it is about; `source` is `/1.0/instances/NAME`."""
        path = self.metadata.source.partition("?")[0]
        return self.project or DEFAULT_PROJECT, unquote(path.rpartition("/")[2])

    @property
    def concerns_many(self) -> bool:
        """Whether any instance may have other limits and devices now."""
        return self.metadata.action in _CHANGES_OF_MANY

    @property
    def looks_s(self) -> tuple[float, ...]:
        """In how many seconds, each time, to ask about the instance; empty: nothing changes."""
        if self.metadata.action in _STARTS:
            return AFTER_START_S
        return (SOON_S,) if self.metadata.action in _CHANGES else ()


def identity_in(path: str) -> Identity:
    """Return the instance that LXD calls `/1.0/instances/NAME`, or that with `?project=PROJECT`."""
    place, _, query = path.partition("?")
    project, *_ = parse_qs(query).get("project", [DEFAULT_PROJECT])
    return project, unquote(place.rpartition("/")[2])
