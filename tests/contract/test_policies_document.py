"""The shell example of docs/api/policies.md does what the document says."""

from __future__ import annotations

import asyncio
import re

from services.gateway.http.messages.reasons import RETENTION, RUNS
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.policies import InstanceSimulation, Simulation, SimulationRequest
from shared.policies import reasons
from shared.policies.moments import parse_moment
from shared.policies.simulation import simulate
from tests.support.documents import API, code_blocks
from tests.support.gateway_http import FakeGateway, listening
from tests.support.views import a_view

DOCUMENT = API / "policies.md"


def simulated(host: str, wired: object) -> object:
    """Return what a host without snapshots answers."""
    request = from_wire(SimulationRequest, wired)
    start = parse_moment("2026-11-18T11:00:00Z")
    found = simulate(request.policy, host, "web", [], start, request.days)
    vm = InstanceSimulation(name="web", uuid="u", events=found.events, snapshots=found.judged)
    return to_wire(Simulation(selected=1, instances=[vm]))


async def test_the_commands_of_the_example_work() -> None:
    gateway = FakeGateway()
    gateway.fleet.change(instances=[a_view("web", labels={"env": "prod"})])
    gateway.workers.answers["simulate_policy"] = simulated
    (example,) = code_blocks(DOCUMENT, language="sh", heading="Example")

    async with listening(gateway.app()) as port:
        script = example.text.replace("localhost:8000", f"localhost:{port}")
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await asyncio.wait_for(shell.communicate(), 60)

    *events, run, revision, late, deleted = printed.decode().splitlines()
    assert shell.returncode == 0
    assert [event.split()[1] for event in events] == ["take", "take", "take"]
    assert re.fullmatch(r"\S+Z take nightly-\d{8}T183000Z", events[0])
    assert (run, revision, late, deleted) == ("h1 answered 1", "2", "0", "true")
    assert gateway.centre.policies == {}


def test_the_document_names_every_reason_and_there_is_a_text_for_each() -> None:
    text = DOCUMENT.read_text()
    words = {*reasons.WHY_KEPT, reasons.NO_RULE}

    assert {word for word in words if f"`{word}`" not in text} == set()
    assert {word for word in reasons.WHY_SKIPPED if f"`{word}`" not in text} == set()
    assert words | {reasons.OLDEST} == RETENTION.keys()
    assert RUNS.keys() >= {*reasons.WHY_SKIPPED}
