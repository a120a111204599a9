"""Telling what LXD has written about the last start of an instance."""

from __future__ import annotations

from services.lxd_worker.instances.observation import meant
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.ports import Lxd
from shared.contracts.errors import LogNotFound
from shared.contracts.worker_api import MOST_LOG, InstanceLog


def instance_log(lxd: Lxd, project: str, name: str, uuid: str) -> InstanceLog:
    """Return the end of the log of the instance that has this uuid.

    Raises InvalidInput, InstanceNotFound, InstanceReplaced, LogNotFound and LxdUnavailable.
    """
    check_name(name)
    meant(lxd.glance(project, name), name, uuid)
    log = lxd.log(project, name)
    if log is None:
        raise LogNotFound(name)
    return InstanceLog(text=log[-MOST_LOG:], truncated=len(log) > MOST_LOG)
