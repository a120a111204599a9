"""OpenAPI's links: from each list to its entries, and from each change to what came of it.

People find the next step by them, and programs that test an API go from one request to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

V1 = "/api/v1/vms"
ONE_VM = (
    f"GET {V1}/{{id}}",
    f"PUT {V1}/{{id}}",
    f"DELETE {V1}/{{id}}",
    f"GET {V1}/{{id}}/status",
    f"GET {V1}/{{id}}/metrics",
    f"GET {V1}/{{id}}/console",
    f"GET {V1}/{{id}}/log",
    f"GET {V1}/{{id}}/ports",
    f"PUT {V1}/{{id}}/ports",
    f"GET {V1}/{{id}}/snapshots",
    f"POST {V1}/{{id}}/snapshots",
    *(f"POST {V1}/{{id}}/{way}" for way in ("start", "stop", "restart", "pause", "resume")),
    f"POST {V1}/{{id}}/rename",
    f"POST {V1}/{{id}}/password",
    f"POST {V1}/{{id}}/rebuild",
    f"POST {V1}/{{id}}/rebuild/revert",
)
ONE_SNAPSHOT = (
    f"POST {V1}/{{id}}/snapshots/{{snapshotId}}/restore",
    f"DELETE {V1}/{{id}}/snapshots/{{snapshotId}}",
    f"PUT {V1}/{{id}}/snapshots/{{snapshotId}}/marks",
    f"POST {V1}/{{id}}/snapshots/{{snapshotId}}/clone",
)
POLICIES = "/api/v1/policies"
ONE_POLICY = (
    f"GET {POLICIES}/{{id}}",
    f"PUT {POLICIES}/{{id}}",
    f"GET {POLICIES}/{{id}}/runs",
    f"GET {POLICIES}/{{id}}/simulate",
    f"POST {POLICIES}/{{id}}/run",
    f"DELETE {POLICIES}/{{id}}",
)
# Take a key, and are no operation.
NO_OPERATION = {f"POST {POLICIES}", f"POST {POLICIES}/{{id}}/run"}
ONE_INSTANCE = (
    "GET /api/instances/{name}",
    "GET /api/instances/{name}/resources",
    "DELETE /api/instances/{name}",
    *(
        f"POST /api/instances/{{name}}/{way}"
        for way in ("start", "stop", "restart", "pause", "resume")
    ),
)
ONE_HOST = ("GET /api/hosts/{host}", "DELETE /api/hosts/{host}", "GET /metrics/hosts/{host}")
ONE_OPERATION = ("GET /api/operations/{id}", "POST /api/operations/{id}/cancel")

KEY = "Idempotency-Key"
LATER = ("200", "202")


class LinkTemplate(NamedTuple):
    """From an operation's answers to other operations, with parameters taken from the answer."""

    source: str
    statuses: Sequence[str]
    targets: Sequence[str]
    parameters: Mapping[str, str]


WAYS = (
    LinkTemplate(f"GET {V1}", ["200"], ONE_VM, {"path.id": "$response.body#/data/vms/0/id"}),
    LinkTemplate(
        f"GET {V1}",
        ["200"],
        [f"GET {V1}"],
        {"query.cursor": "$response.body#/data/pagination/nextCursor"},
    ),
    LinkTemplate(
        f"GET {POLICIES}",
        ["200"],
        ONE_POLICY,
        {"path.id": "$response.body#/data/policies/0/id"},
    ),
    LinkTemplate(f"POST {POLICIES}", ["201"], ONE_POLICY, {"path.id": "$response.body#/data/id"}),
    LinkTemplate(
        f"GET {POLICIES}/runs",
        ["200"],
        [f"GET {POLICIES}/runs"],
        {"query.cursor": "$response.body#/data/pagination/nextCursor"},
    ),
    LinkTemplate(
        "GET /api/v1/protection",
        ["200"],
        ONE_VM,
        {"path.id": "$response.body#/data/instances/0/id"},
    ),
    LinkTemplate(
        "GET /api/v1/protection",
        ["200"],
        ["GET /api/v1/protection"],
        {"query.cursor": "$response.body#/data/pagination/nextCursor"},
    ),
    LinkTemplate(f"POST {V1}", ["201"], ONE_VM, {"path.id": "$response.body#/data/id"}),
    LinkTemplate(
        f"POST {V1}", ["201"], ONE_OPERATION, {"path.id": "$response.body#/data/operation"}
    ),
    LinkTemplate(
        f"POST {V1}/actions",
        ["200"],
        ONE_OPERATION,
        {"path.id": "$response.body#/data/results/0/operation"},
    ),
    LinkTemplate(
        f"GET {V1}/{{id}}/snapshots",
        ["200"],
        ONE_SNAPSHOT,
        {
            "path.id": "$request.path.id",
            "path.snapshotId": "$response.body#/data/snapshots/0/id",
        },
    ),
    LinkTemplate(
        f"POST {V1}/{{id}}/snapshots",
        LATER,
        ONE_SNAPSHOT,
        {"path.id": "$response.body#/data/id", "path.snapshotId": "$response.body#/data/snapshot"},
    ),
    LinkTemplate(
        f"POST {V1}/{{id}}/snapshots/{{snapshotId}}/clone",
        ["201"],
        ONE_VM,
        {"path.id": "$response.body#/data/id"},
    ),
    LinkTemplate(
        f"POST {V1}/{{id}}/snapshots/{{snapshotId}}/clone",
        ["201"],
        ONE_OPERATION,
        {"path.id": "$response.body#/data/operation"},
    ),
    LinkTemplate(
        "GET /api/instances",
        ["200"],
        ONE_INSTANCE,
        {
            "path.name": "$response.body#/0/name",
            "query.host": "$response.body#/0/host",
            "query.project": "$response.body#/0/project",
        },
    ),
    LinkTemplate(
        "GET /api/instances",
        ["200"],
        ["GET /api/instances"],
        {"query.cursor": "$response.header.X-Next-Cursor"},
    ),
    LinkTemplate("GET /api/hosts", ["200"], ONE_HOST, {"path.host": "$response.body#/0/host"}),
    LinkTemplate(
        "GET /api/hosts", ["200"], ["GET /api/host/info"], {"query.host": "$response.body#/0/host"}
    ),
    LinkTemplate(
        "GET /api/operations", ["200"], ONE_OPERATION, {"path.id": "$response.body#/0/id"}
    ),
)
# Of whatever becomes an operation the answer names it.
TO_OPERATION = {"path.id": "$response.header.X-Operation-Id"}


def add_links(document: dict[str, Any]) -> None:
    """Write the links into a description; KeyError where one leads from or to nothing."""
    operations = {
        f"{method.upper()} {path}": operation
        for path, ways in document["paths"].items()
        for method, operation in ways.items()
    }
    named = {way.source for way in WAYS if way.targets == ONE_OPERATION}
    for way in (*WAYS, *_to_operations(operations, without=named)):
        for status in way.statuses:
            links = operations[way.source]["responses"][status].setdefault("links", {})
            for target in way.targets:
                name = operations[target]["operationId"]
                links[name] = {"operationId": name, "parameters": dict(way.parameters)}


def _to_operations(operations: Mapping[str, Any], without: set[str]) -> Iterator[LinkTemplate]:
    for source, operation in operations.items():
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        if KEY in names and source not in without | NO_OPERATION:
            yield LinkTemplate(source, LATER, ONE_OPERATION, TO_OPERATION)
