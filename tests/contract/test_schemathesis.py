"""schemathesis reads `/openapi.json` and tries what it says on a real server.

What the server enforces is in the description, every answer is as described, and the links lead
from each list to its entries and from each creation to what it made.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.http.docs import DescribedApp
from services.gateway.http.openapi_links import (
    ONE_HOST,
    ONE_INSTANCE,
    ONE_OPERATION,
    ONE_VM,
)
from services.gateway.http.request_models.policies import PolicyBody
from services.gateway.http.request_models.policy_runs import PolicySimulationRequest
from services.gateway.http.request_models.vm_actions import VmRebuild, VmRename
from services.gateway.http.request_models.vm_bulk_action import VmActions
from services.gateway.http.request_models.vm_creation import VmCreation
from services.gateway.http.request_models.vm_ports import VmPortsChange
from services.gateway.http.request_models.vm_snapshots import (
    VmClone,
    VmSnapshotCreation,
    VmSnapshotMarksChange,
)
from services.gateway.http.request_models.vm_update import VmUpdate
from tests.support.gateway_http import listening, openapi
from tests.support.living_gateway import TOKEN, a_gateway

LONGEST_S = 240
FOLLOWED = ("--phases=stateful", "--mode=positive", "--max-examples=20")


@dataclass
class Succeeded:
    """An app around another one that notes each request that was answered with success."""

    app: ASGIApp
    requests: set[tuple[str, str]] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["method"], scope["path"]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self.requests.add(asked)
            await send(message)

        await self.app(scope, receive, noting)

    def of(self, operation: str) -> bool:
        """Whether a request of `GET /api/hosts/{host}`, for one, has succeeded."""
        method, path = operation.split(" ")
        form = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        return any(how == method and form.fullmatch(at) for how, at in self.requests)


async def complaints(folder: Path, url: str, config: str, *options: str) -> str:
    """Return what schemathesis says of a server, empty: nothing; it writes into the folder."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program),
        "--config-file",
        str(Path(__file__).with_name(config)),
        "--no-color",
        "run",
        url,
    ]
    command += ["--header", f"Authorization: Bearer {TOKEN}", "--continue-on-failure"]
    command += ["--generation-deterministic", *options]
    running = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), LONGEST_S)
    finally:
        if running.returncode is None:
            running.kill()
    return said.decode() if running.returncode else ""


def an_app() -> DescribedApp:
    """Return an app whose description is made: on a busy machine nobody would wait for it."""
    app = a_gateway().app()
    app.openapi()
    return app


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    async with listening(app) as port:
        yield f"http://127.0.0.1:{port}/openapi.json"


@pytest.mark.timeout(300)
async def test_the_server_is_as_it_is_described(tmp_path: Path) -> None:
    async with served(an_app()) as url:
        wrong = await complaints(
            tmp_path, url, "schemathesis.toml", "--phases=coverage,fuzzing", "--max-examples=5"
        )

    assert not wrong, wrong


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("paths", "families"),
    [
        ("^/api/v1/", [ONE_VM]),
        ("^/api/(instances|operations)", [ONE_INSTANCE, ONE_OPERATION]),
        ("^/(api|metrics)/hosts", [ONE_HOST]),
    ],
)
async def test_it_goes_from_lists_to_entries_and_from_changes_to_what_came_of_them(
    tmp_path: Path, paths: str, families: list[tuple[str, ...]]
) -> None:
    """Part by part: among all paths chance decides how far it gets."""
    reached = Succeeded(an_app())
    only = f"--include-path-regex={paths}"
    async with served(reached) as url:
        wrong = await complaints(tmp_path, url, "schemathesis_links.toml", *FOLLOWED, only)

    assert not wrong, wrong
    for family in families:
        assert any(map(reached.of, family)), family


BODIES = [
    ("POST", "/api/v1/vms", VmCreation),
    ("PUT", "/api/v1/vms/{id}", VmUpdate),
    ("POST", "/api/v1/vms/{id}/rename", VmRename),
    ("POST", "/api/v1/vms/{id}/rebuild", VmRebuild),
    ("POST", "/api/v1/vms/actions", VmActions),
    ("PUT", "/api/v1/vms/{id}/ports", VmPortsChange),
    ("POST", "/api/v1/vms/{id}/snapshots", VmSnapshotCreation),
    ("PUT", "/api/v1/vms/{id}/snapshots/{snapshotId}/marks", VmSnapshotMarksChange),
    ("POST", "/api/v1/vms/{id}/snapshots/{snapshotId}/clone", VmClone),
]
# Whether a cron expression is ever due, no schema can say.
OF_POLICIES: list[tuple[str, str, type[BaseModel]]] = [
    ("POST", "/api/v1/policies", PolicyBody),
    ("PUT", "/api/v1/policies/{id}", PolicyBody),
    ("POST", "/api/v1/policies/simulate", PolicySimulationRequest),
]


@pytest.mark.parametrize(("method", "path", "model"), BODIES)
def test_a_body_as_it_is_described_is_one_that_is_taken(
    method: str, path: str, model: type[BaseModel]
) -> None:
    operation = schemathesis.openapi.from_dict(openapi())[path][method]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def is_taken(case: schemathesis.Case) -> None:
        model.model_validate(case.body)

    is_taken()


@pytest.mark.parametrize(("method", "path", "model"), OF_POLICIES)
def test_the_example_of_a_policy_is_one_that_is_taken(
    method: str, path: str, model: type[BaseModel]
) -> None:
    assert openapi()["paths"][path][method.lower()]["requestBody"]["required"]

    for example in openapi()["components"]["schemas"][model.__name__]["examples"]:
        model.model_validate(example)


def test_every_body_is_tried() -> None:
    paths = openapi()["paths"]
    with_body = {
        (method.upper(), path)
        for path, ways in paths.items()
        for method, way in ways.items()
        if way.get("requestBody", {}).get("required")
    }

    assert with_body == {(method, path) for method, path, _ in BODIES + OF_POLICIES}
