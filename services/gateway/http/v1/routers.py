"""The endpoints of the VM API v1, by what they are about."""

from __future__ import annotations

from services.gateway.http.v1 import (
    actions,
    bulk,
    console,
    create,
    log,
    metrics,
    passwords,
    policies,
    policy_runs,
    policy_simulation,
    ports,
    protection,
    rebuild,
    snapshots,
    templates,
    vms,
)

ROUTERS = tuple(
    part.router
    for part in (
        vms,
        create,
        actions,
        passwords,
        bulk,
        ports,
        rebuild,
        snapshots,
        policy_runs,
        policy_simulation,
        policies,
        protection,
        metrics,
        console,
        log,
        templates,
    )
)
