"""Holds every JSON example of the instances API's document against the real app.

The fakes hold just what the examples show, so that keys, types and values must agree.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.documents import INSTANCES_API, CodeBlock, code_blocks
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

EXAMPLES = code_blocks(INSTANCES_API, language="json")
STREAM = "4.1 实时监控连接"
# Without an instance of this name, and without anything known of any LXD.
MISSING, NOTHING_KNOWN = "实例不存在", "LXD连接失败"
REQUESTS = {
    "1.1 根路径": ("GET", "/", 200),
    "1.2 健康检查": ("GET", "/api/health", 200),
    "1.3 宿主机信息": ("GET", "/api/host/info", 200),
    "2.1 获取所有实例": ("GET", "/api/instances", 200),
    "2.2 获取实例详情": ("GET", "/api/instances/test1", 200),
    "2.3 获取实例资源使用": ("GET", "/api/instances/test1/resources", 200),
    "3.1 启动实例": ("POST", "/api/instances/test1/start", 200),
    "3.2 停止实例": ("POST", "/api/instances/test1/stop", 200),
    "3.3 重启实例": ("POST", "/api/instances/test1/restart", 200),
    "3.4 删除实例": ("DELETE", "/api/instances/test1?force=false", 200),
    MISSING: ("GET", "/api/instances/test1", 404),
    NOTHING_KNOWN: ("GET", "/api/instances", 503),
}
FORMAT_OF_ERRORS = "错误响应格式"


def gateway_for(heading: str) -> FakeGateway:
    gateway = FakeGateway()
    if heading in {MISSING, NOTHING_KNOWN}:
        gateway.fleet.known_instances = []
    if heading == NOTHING_KNOWN:
        gateway.fleet.known_hosts = [a_host_view(lxd_connected=False, inventory_age_s=None)]
    return gateway


def fits(example: Any, answer: Any) -> bool:
    """Whether an answer has all of an example, with the same types; it may have more keys."""
    if isinstance(example, dict):
        return all(key in answer and fits(value, answer[key]) for key, value in example.items())
    if isinstance(example, list):
        return len(example) == len(answer) and all(map(fits, example, answer))
    if type(example) is not type(answer):
        return False
    if isinstance(example, str) and TIME.fullmatch(example):
        return TIME.fullmatch(answer) is not None
    return bool(example == answer)


async def answer_to(block: CodeBlock) -> httpx.Response:
    method, path, _ = REQUESTS[block.heading]
    async with gateway_for(block.heading).client() as client:
        return await client.request(method, path)


def test_no_example_of_the_document_is_left_out() -> None:
    assert {block.heading for block in EXAMPLES} == {*REQUESTS, STREAM, FORMAT_OF_ERRORS}
    assert len(EXAMPLES) == len(REQUESTS) + 2


@pytest.mark.parametrize("block", [b for b in EXAMPLES if b.heading in REQUESTS], ids=repr)
async def test_the_answer_is_the_documents_example(block: CodeBlock) -> None:
    answer = await answer_to(block)

    assert answer.status_code == REQUESTS[block.heading][2]
    assert fits(block.json(), answer.json()), answer.text


async def test_every_error_has_the_documents_format() -> None:
    [example] = code_blocks(INSTANCES_API, language="json", heading=FORMAT_OF_ERRORS)
    async with FakeGateway().client() as client:
        paths = ["/nix", "/api/instances/1", "/api/instances/nix", "/api/operations/x?wait=x"]
        answers = [(await client.get(path)).json() for path in paths]

    for answer in answers:
        assert {key: type(answer[key]) for key in example.json()} == {"detail": str}


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "datetime": (str,),
    "int": (int,),
    "float": (float,),
    "null": (type(None),),
}
VARIANTS = {
    "as in the document": a_view(),
    "stopped": a_view(status="Stopped"),
    "without description, address, limit or sample": replace(
        a_view(description="", memory_limit=None, root_size=None), encoded_sample=None
    ),
}


def documented(model: str) -> dict[str, tuple[type, ...]]:
    """Return the plain fields that the document's data model names, with their types."""
    [block] = [
        block
        for block in code_blocks(INSTANCES_API, language="typescript")
        if block.heading.startswith(model)
    ]
    fields = re.findall(r"(\w+): ([\w| ]+);", block.text)
    plain = {name: kinds.split(" | ") for name, kinds in fields if kinds.split(" | ")[0] in TYPES}
    return {name: tuple(t for kind in kinds for t in TYPES[kind]) for name, kinds in plain.items()}


@pytest.mark.parametrize("instance", VARIANTS.values(), ids=VARIANTS)
async def test_every_field_has_the_type_of_the_data_model(instance: Any) -> None:
    gateway = FakeGateway()
    gateway.fleet.change(instances=[instance], hosts=[a_host_view(sample=None)])

    async with gateway.client() as client:
        detail = (await client.get("/api/instances/test1")).json()

    parts = {"InstanceInfo": detail["info"], "ResourceUsage": detail["resources"]}
    for model, part in {**parts, "InstanceDetail": detail}.items():
        for field, types in documented(model).items():
            assert type(part[field]) in types, (model, field, part[field])
