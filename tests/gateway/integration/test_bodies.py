"""Bodies and addresses that are made to make a server stumble, on a real gateway."""

import json

import pytest

from tests.support.gateway_process import Process

pytestmark = pytest.mark.attack

KIB = 1024
DEEP = 100_000
CREATE = "/api/v1/vms"


BODIES = {
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep inside": b'{"name": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a huge number": b'{"cpu": ' + b"9" * 100_000 + b"}",
    "a large number": b'{"cpu": ' + b"9" * 400 + b', "memory": 1e999}',
    "no number": b'{"cpu": NaN, "memory": Infinity}',
    "half a letter": b'{"name": "\\ud800", "description": "\\udfff"}',
    "NUL": b'{"name": "a\\u0000b", "host": "\\u0000", "project": "\\u0000"}',
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "many keys": json.dumps({f"k{n}": 1 for n in range(50_000)}).encode(),
    "the same key": b"{" + b'"name": "x", ' * 50_000 + b'"name": "y"}',
    "many ids": json.dumps({"action": "start", "ids": ["x"] * 100_000}).encode(),
    "no object": b"17",
    "nothing": b"null",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CREATE),
        ("PUT", f"{CREATE}/x"),
        ("POST", f"{CREATE}/actions"),
        ("POST", f"{CREATE}/x/snapshots"),
        ("PUT", f"{CREATE}/x/ports"),
        ("POST", "/api/instances/x/start"),
        ("POST", "/api/ws-tickets"),
    ],
)
def test_no_body_is_a_fault_of_ours(
    gateway_process: Process, method: str, path: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}

    answer = gateway_process.request(method, path, content=body, headers=headers)

    assert answer.status_code in {200, 201, 202, 400, 404, 405, 413, 422, 503}, answer.text[:500]
    assert len(answer.content) < 16 * KIB
    assert "Traceback" not in gateway_process.log.read_text()


WORDS = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "a" * 1500,
    "%0d%0aX:%20y",
    "..%2f..%2f",
    "%zz",
    "٣",
    "+5",
    "1_0",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "path",
    [
        "/{}",
        "/api/instances/{}",
        "/api/operations/{}",
        "/api/operations?state={0}&instance={0}&host={0}&limit={0}&cursor={0}",
        "/api/operations/x?wait={}",
        "/api/instances?search={0}",
        "/api/instances?fields={0}",
        "/api/instances?limit={0}",
        "/api/instances?cursor={0}",
        "/api/instances?host={0}&project={0}&status={0}&type={0}",
        "/api/v1/vms?search={0}",
        "/api/v1/vms?page={0}&limit={0}&label={0}",
        "/api/v1/vms/{0}",
        "/api/v1/vms/{0}/snapshots/{0}",
        "/api/v1/vms/x/metrics?from={0}&to={0}",
        "/api/hosts/{}",
        "/metrics/{}",
        "/console-files/{}",
        "/static-offline-docs/{}",
    ],
)
def test_no_address_is_a_fault_of_ours(gateway_process: Process, path: str, word: str) -> None:
    answer = gateway_process.get(path.format(word))

    assert answer.status_code in {200, 400, 404, 405, 422, 503}, answer.text[:500]
    assert len(answer.content) < 16 * KIB
    assert "Traceback" not in gateway_process.log.read_text()


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"' * 20_000},
        {"If-None-Match": 'W/"' * 20_000},
        {"Accept-Language": "en;q=" + "9" * 5000},
        {"Accept-Language": ",".join(["en;q=0.1"] * 6000)},
        {"Accept-Language": "zh;q=nan, en;q=inf"},
        {"Authorization": "Bearer " + "x" * 50_000},
        {"Idempotency-Key": "x" * 50_000},
        {"X-Fleet-Version": "h1:" + "9" * 50_000},
        {"Host": "[" + "x" * 1000},
        {"Host": "localhost:99999999999999999999"},
        {"Origin": "http://[" * 1000},
        {"Content-Type": "application/json;" + "x=y;" * 10_000},
        {"X-Request-Id": "a\tb"},
        {"Range": "bytes=" + ",".join(["0-1"] * 10_000)},
    ],
    ids=lambda headers: "".join(headers),
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/instances"),
        ("GET", "/api/v1/vms"),
        ("GET", "/console-files/console.js"),
        ("POST", "/api/instances/x/start"),
        ("POST", f"{CREATE}/x/start"),
    ],
)
def test_no_header_is_a_fault_of_ours(
    gateway_process: Process, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = gateway_process.request(method, path, headers=headers)

    assert answer.status_code < 500 or answer.status_code == 503, answer.text[:500]
    assert answer.elapsed.total_seconds() < 1.5
    assert "Traceback" not in gateway_process.log.read_text()
