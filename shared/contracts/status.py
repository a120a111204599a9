"""The status of an instance, in LXD's words (its `api.StatusCode`), and what follows from it.

No other module compares these words. LXD's other status words are for its operations only.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """LXD's words for the state of an instance.

    Those in `-ing`, except `Running`, are transitions. A virtual machine is `Ready` once its guest
    has reported so. `Error`: LXD cannot tell, as the instance's monitor process does not answer.
    """

    STARTED = "Started"
    STOPPED = "Stopped"
    RUNNING = "Running"
    STARTING = "Starting"
    STOPPING = "Stopping"
    ABORTING = "Aborting"
    FREEZING = "Freezing"
    FROZEN = "Frozen"
    THAWED = "Thawed"
    ERROR = "Error"
    READY = "Ready"


_RUNNING = frozenset({Status.STARTED, Status.RUNNING, Status.READY, Status.THAWED})


def is_alive(status: str) -> bool:
    """Return whether an instance may have processes, memory and addresses: all but stopped ones.

    So its measurements count even in a state that a later LXD adds.
    """
    return status != Status.STOPPED


def is_running(status: str) -> bool:
    """Return whether the processes of an instance run, and are not about to stop."""
    return status in _RUNNING


def is_frozen(status: str) -> bool:
    """Return whether the processes of an instance are frozen."""
    return status == Status.FROZEN
