"""The endpoints, by what they are about; each translates and lets others decide."""

from services.gateway.http.api import (
    actions,
    hosts,
    instances,
    metrics,
    operations,
    system,
    tickets,
)

ROUTERS = tuple(
    part.router for part in (system, instances, actions, operations, hosts, tickets, metrics)
)
