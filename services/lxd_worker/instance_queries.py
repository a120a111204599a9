"""Questions of gateways about one instance: its snapshots, and LXD's log of its last start."""

from __future__ import annotations

import re

from services.lxd_worker.instances.observation import require_instance
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.protocols import Lxd
from shared.contracts.bounds import LONGEST_LINES, writable
from shared.contracts.errors import LogNotFound
from shared.contracts.worker_api import MOST_LOG, MOST_SNAPSHOTS, InstanceLog, SnapshotList

MOST_LINES = 20

# A container's environment belongs to its owner, and may hold a password.
_ENVIRONMENT = re.compile(r"(\benvironment\b\S*\s*[=:]\s*).*", re.IGNORECASE)
# Terminal escape sequences among them: the log may quote a program of the guest's.
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")


def list_snapshots(lxd: Lxd, project: str, name: str, uuid: str) -> SnapshotList:
    """Return the snapshots of the instance that has this uuid, oldest first.

    Raises InvalidInput, InstanceNotFound, InstanceReplaced and LxdUnavailable.
    """
    check_name(name)
    require_instance(lxd.observe_briefly(project, name), name, uuid)
    in_order = sorted(lxd.snapshots(project, name), key=lambda snapshot: snapshot.created_at)
    return SnapshotList(snapshots=in_order[-MOST_SNAPSHOTS:])


def read_log(lxd: Lxd, project: str, name: str, uuid: str) -> InstanceLog:
    """Return the end of the log of the instance that has this uuid.

    Raises InvalidInput, InstanceNotFound, InstanceReplaced, LogNotFound and LxdUnavailable.
    """
    check_name(name)
    require_instance(lxd.observe_briefly(project, name), name, uuid)
    log = lxd.start_log(project, name)
    if log is None:
        raise LogNotFound(name)
    return InstanceLog(text=log[-MOST_LOG:], truncated=len(log) > MOST_LOG)


def readable_log(raw: bytes) -> str:
    """Return a log's text without control characters and without anybody's environment."""
    text = writable(raw.decode(errors="replace").replace("\r\n", "\n"))
    return _ENVIRONMENT.sub(r"\1...", _CONTROL.sub("\ufffd", text))


def last_lines(log: str) -> str:
    """Return the last few lines of a log, as many as the failure of an operation holds."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return "\n".join(lines[-MOST_LINES:])[-LONGEST_LINES:]
