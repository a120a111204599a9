"""Instances and hosts as the stream of changes shows them: as the REST API does, without ages.

What an instance uses is a topic of its own (`ws/usage.py`).

An age grows while nothing changes. A stream that tells changes only cannot carry it, so a host that
is away shows since when instead.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.gateway import units
from services.gateway.fleet.encoded_protection import InstanceProtection
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.hosts import host_view
from services.gateway.responses.instances import information, visible_password
from services.gateway.responses.policy_runs import Explain, PolicyRunView
from services.gateway.responses.protection import VmProtection, bare_protection, vm_protection


def instance_entry(known: InstanceView, host: HostView, *, secrets: bool) -> dict[str, Any]:
    """Return what `GET /api/instances/{name}` answers, without its use.

    Without `secrets` passwords are masked.
    """
    info: dict[str, Any] = msgspec.to_builtins(information(known, host, secrets=secrets))
    del info["age_s"]
    return {
        "info": info,
        "ssh_port": known.nat.ssh_port,
        "nat_ports": known.nat.nat_ports,
        "root_password": visible_password(known, secrets=secrets),
        "addresses": list(known.reachable.all),
    }


def protection_entry(
    known: InstanceView, held: InstanceProtection, explain: Explain
) -> dict[str, Any]:
    """Return what `GET /api/v1/protection` answers of an instance, without ages and its host."""
    return _protection_entry(vm_protection(known, held, units.EPOCH, explain, host_online=True))


def bare_protection_entry(known: InstanceView) -> dict[str, Any]:
    """Return the entry of an instance that cannot be rendered."""
    return _protection_entry(bare_protection(known, host_online=True))


def _protection_entry(shown: VmProtection) -> dict[str, Any]:
    entry: dict[str, Any] = msgspec.to_builtins(shown)
    del entry["ageSeconds"], entry["hostOnline"]
    return {"kind": "protection", **entry}


def run_entry(shown: PolicyRunView) -> dict[str, Any]:
    """Return what `GET /api/v1/policies/runs` answers of a run."""
    return {"kind": "run", **msgspec.to_builtins(shown)}


def host_entry(known: HostView, now: datetime) -> dict[str, Any]:
    """Return what `GET /api/hosts/{host}` answers; `last_heard_utc` is null for one not away."""
    entry: dict[str, Any] = msgspec.to_builtins(host_view(known))
    for age in ("age_s", "inventory_age_s", "clock_skew_s"):
        del entry[age]
    del entry["resources"]["age_s"]
    return {**entry, "last_heard_utc": _last_heard(known, now)}


def _last_heard(known: HostView, now: datetime) -> str | None:
    if known.online or known.age_s is None:
        return None
    return units.utc_text(now - timedelta(seconds=units.age(known.age_s)))
