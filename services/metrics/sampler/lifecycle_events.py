"""What an event of LXD's says to ask about."""

from __future__ import annotations

from shared.lxd.models import LifecycleEvent

# Seconds after an event until LXD is asked: soon, but for a burst of events only once; after a
# start again, for the address that the instance gets by DHCP only some time later.
SOON_S = 0.1
AFTER_START_S = (SOON_S, 3.0, 10.0)

_STARTS = {"instance-started", "instance-restarted", "instance-restored"}
_CHANGES = {"instance-updated", "instance-stopped", "instance-shutdown", "instance-deleted"}
_CHANGES_OF_MANY = {"profile-updated", "project-updated"}


def concerns_many(event: LifecycleEvent) -> bool:
    """Whether any instance may have other limits and devices now."""
    return event.metadata.action in _CHANGES_OF_MANY


def poll_delays_s(event: LifecycleEvent) -> tuple[float, ...]:
    """Return in how many seconds, each time, to ask about the instance; empty: nothing changes."""
    if event.metadata.action in _STARTS:
        return AFTER_START_S
    return (SOON_S,) if event.metadata.action in _CHANGES else ()
