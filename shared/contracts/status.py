"""How an instance is, in LXD's words (its `api.StatusCode`), and what follows from them.

Nobody else compares these words. LXD's other words are for its operations only.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """LXD's words for the state of an instance.

    Those that end in `ing` lie between two others. A virtual machine is `Ready` once its guest has
    said so. `Error` says that LXD cannot tell: what keeps an instance running does not answer.
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
    """Whether an instance may have processes, memory and addresses: every one but a stopped one.

    So what is measured of it counts, also in a state that a later LXD invents.
    """
    return status != Status.STOPPED


def is_running(status: str) -> bool:
    """Whether the processes of an instance run, and nothing is about to end that."""
    return status in _RUNNING


def is_frozen(status: str) -> bool:
    """Whether the processes of an instance stand still."""
    return status == Status.FROZEN
