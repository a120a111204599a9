"""Holds every JSON example of the VM API v1's document against the real app.

The fakes hold what the examples show, so that keys, types and values must agree.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from services.gateway.http.v1.envelope import named
from shared.contracts.samples import Address
from tests.support.builders import GIB, MIB, a_documented_instance, an_instance_sample
from tests.support.documents import VMS_API, code_blocks
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_view, view_of

EXAMPLES = code_blocks(VMS_API, language="json")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

# The document's first machine, and more, so that there are three pages.
MACHINE = a_documented_instance(
    "web-server",
    uuid="001",
    display_name="Web Server",
    cpu_limit="2",
    memory_limit=2048 * MIB,
    root_size=20 * GIB,
    os="ubuntu20.04",
    created_at="2024-01-01T12:00:00Z",
)
SAMPLE = an_instance_sample(
    "web-server",
    addresses=(Address(device="eth0", family="inet", address="192.168.1.100", scope="global"),),
)
OTHERS = [a_view(f"x{number:02}", status="Stopped") for number in range(24)]


def gateway_of_the_document() -> FakeGateway:
    gateway = FakeGateway()
    gateway.fleet.known_instances = [view_of(MACHINE, SAMPLE), *OTHERS]
    return gateway


def fits(example: Any, answer: Any) -> bool:
    """Whether an answer has all of an example, with the same types; it may have more keys.

    Each entry of a list is to be like the example's.
    """
    if isinstance(example, dict):
        return all(key in answer and fits(value, answer[key]) for key, value in example.items())
    if isinstance(example, list):
        return bool(answer) and all(fits(example[0], entry) for entry in answer)
    if isinstance(example, str) and TIME.fullmatch(example):
        return TIME.fullmatch(answer) is not None
    return type(example) is type(answer)


def answer_under(heading: str) -> Any:
    """Return the document's example of an answer; beside it may stand one of a request."""
    examples = [block.json() for block in EXAMPLES if block.heading == heading]
    [answer] = [example for example in examples if "success" in example]
    return answer


async def asked(path: str, method: str = "GET", body: object = None) -> httpx.Response:
    async with gateway_of_the_document().client() as client:
        return await client.request(method, path, json=body)


async def test_the_list_is_the_documents_example() -> None:
    example = answer_under("GET /api/v1/vms")

    answer = (await asked("/api/v1/vms")).json()

    assert fits(example, answer)
    shown, first = example["data"]["vms"][0], answer["data"]["vms"][0]
    same = shown.keys() - {"id", "updatedAt"}
    assert {key: first[key] for key in same} == {key: shown[key] for key in same}
    pagination = example["data"]["pagination"]
    assert answer["data"]["pagination"].items() >= pagination.items()


async def test_the_metrics_are_the_documents_example() -> None:
    example = answer_under("GET /api/v1/vms/{id}/metrics")
    period = "from=2026-01-23T11:00:00Z&to=2026-01-23T12:00:00Z"

    answer = (await asked(f"/api/v1/vms/vm-001/metrics?{period}")).json()

    assert fits(example, answer)


@pytest.mark.parametrize(
    ("heading", "path"),
    [
        ("POST /api/v1/vms/{id}/stop", "/api/v1/vms/vm-001/stop"),
        ("POST /api/v1/vms/{id}/snapshots", "/api/v1/vms/vm-001/snapshots"),
    ],
)
async def test_the_documents_requests_are_taken(heading: str, path: str) -> None:
    [request] = [block.json() for block in EXAMPLES if block.heading == heading]

    answer = await asked(path, "POST", request)

    assert answer.status_code == 200
    assert answer.json()["success"] is True


def test_the_copy_of_the_document_names_every_error_as_we_do() -> None:
    codes = dict(re.findall(r"^\| ([A-Z_]{5,}) +\| (\d{3}) ", VMS_API.read_text(), re.MULTILINE))
    ours = {
        "instance_not_found": "VM_NOT_FOUND",
        "instance_running": "VM_ALREADY_RUNNING",
        "instance_not_running": "VM_ALREADY_STOPPED",
        "insufficient_resources": "INSUFFICIENT_RESOURCES",
        "snapshot_not_found": "SNAPSHOT_NOT_FOUND",
        "operation_in_progress": "OPERATION_IN_PROGRESS",
    }

    assert set(codes) == set(ours.values())
    for code, name in ours.items():
        assert named(code) == (name, int(codes[name]))
