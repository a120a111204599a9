"""Telling the snapshots of an instance."""

from __future__ import annotations

from services.lxd_worker.instances.observation import meant
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.ports import Lxd
from shared.contracts.worker_api import MOST_SNAPSHOTS, SnapshotList


def snapshots(lxd: Lxd, project: str, name: str, uuid: str) -> SnapshotList:
    """Return the snapshots of the instance that has this uuid, oldest first.

    Raises InvalidInput, InstanceNotFound, InstanceReplaced and LxdUnavailable.
    """
    check_name(name)
    meant(lxd.glance(project, name), name, uuid)
    found = lxd.snapshots(project, name)
    in_order = sorted(found, key=lambda snapshot: snapshot.created_at)
    return SnapshotList(snapshots=in_order[-MOST_SNAPSHOTS:])
