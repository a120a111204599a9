"""What a request's head may be, on a real gateway: nobody has shown a token before it is read."""

import socket

import pytest

from tests.support.gateway_process import Process
from tests.support.raw_http import CLOSED, answer, connected, said

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    b"GET /ws/monitor HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CHUNKED = (
    b"POST /api/instances/x/start HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
)
MIB = b"x" * 2**20


@pytest.mark.attack
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET + b"X-Long: " + MIB, 431),
        (GET + b"X-Long" + MIB, 431),
        (GET + b"X-Long: y\r\n" * 2**16, 431),
        (GET + b"X-Long: y\r\n" * 2**7 + b"\r\n", 431),
        (GET + b"X-Long: " + b"x" * 2**16 + b"\r\n\r\n", 431),
        (b"GET /" + MIB, 414),
        (b"GET /livez?" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (MIB, 400),
        (b"\r\n" * 2**19, 431),
        (UPGRADE + b"X-Long: " + MIB, 431),
        (UPGRADE + b"X-Long: " + b"x" * 10_000 + b"\r\n\r\n", 431),
        (UPGRADE + b"X-Long: y\r\n" * 2**7 + b"\r\n", 431),
    ],
    ids=[
        "a header without end",
        "a header's name without end",
        "headers without end",
        "too many headers",
        "a header over 64 KiB",
        "an address without end",
        "a long address",
        "a method without end",
        "empty lines without end",
        "a hand-shake without end",
        "a hand-shake with a long header",
        "a hand-shake with too many headers",
    ],
)
def test_a_head_has_64_kib_at_most(gateway_process: Process, sent: bytes, status: int) -> None:
    with connected(gateway_process.ports[0]) as client:
        received = answer(client, sent)

    assert received.status == status
    assert received.headers["connection"] == "close"
    assert received.json["code"]


def test_a_head_of_60_kib_is_read(gateway_process: Process) -> None:
    with connected(gateway_process.ports[0]) as client:
        received = answer(client, GET + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n")

    assert received.status == 200


@pytest.mark.attack
@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + b"1;" + MIB,
        CHUNKED + b"0\r\nX-Trailer: " + MIB,
        CHUNKED + b"0\r\n" + b"a: b\r\n" * 2**17,
    ],
    ids=["a chunk's extension", "a trailer", "trailers"],
)
def test_what_belongs_to_no_body_ends_too(gateway_process: Process, sent: bytes) -> None:
    with connected(gateway_process.ports[0]) as client:
        assert answer(client, sent).status == 431


@pytest.mark.attack
def test_a_trailer_is_no_header(gateway_process: Process) -> None:
    trailer = b"0\r\nX-Request-Id: from-the-trailer\r\n\r\n"
    with connected(gateway_process.ports[0]) as client:
        received = answer(client, CHUNKED + trailer)

    assert received.headers["x-request-id"] != "from-the-trailer"


def test_the_answer_has_the_form_of_the_api_that_was_asked(gateway_process: Process) -> None:
    head = b"GET /api/v1/vms HTTP/1.1\r\nHost: localhost\r\nAccept-Language: en\r\nX-Long: "
    with connected(gateway_process.ports[0]) as client:
        received = answer(client, head + MIB)

    assert received.json["error"]["code"] == "HEAD_TOO_LARGE"
    assert "65536" in received.json["error"]["message"]


@pytest.mark.attack
def test_many_requests_at_once_on_one_connection_are_bounded(gateway_process: Process) -> None:
    with connected(gateway_process.ports[0]) as client:
        few = said(client, (GET + b"\r\n") * 8 + GET + b"Connection: close\r\n\r\n")
    with connected(gateway_process.ports[0]) as client:
        many = said(client, (GET + b"\r\n") * 500)

    assert few.count(b"HTTP/1.1 200") == 9
    assert many.count(b"HTTP/1.1 200") < 50


@pytest.mark.attack
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: +2",
        b"Content-Length: -2",
        b"Content-Length: 1_0",
        "Content-Length: ٢".encode(),
        b"Content-Length: 2, 2",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding : chunked",
        b"Content-Length:\t 2 x",
        b"X: y\r\n Content-Length: 2",
    ],
)
def test_a_length_that_two_servers_could_read_differently_is_refused(
    gateway_process: Process, fields: bytes
) -> None:
    head = b"POST /api/instances/x/start HTTP/1.1\r\nHost: localhost\r\n"
    with connected(gateway_process.ports[0]) as client:
        received = said(client, head + fields + b"\r\n\r\n{}" + GET + b"\r\n")

    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1


@pytest.mark.attack
@pytest.mark.parametrize(
    "sent",
    [
        b"CONNECT example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%ff%00%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        GET + b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        UPGRADE.replace(b"GET", b"POST") + b"\r\n",
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
        UPGRADE.replace(b"monitor", b"m\xff") + b"\r\n",
        UPGRADE.replace(b"/ws/monitor", b"http://localhost/ws/monitor") + b"\r\n",
        UPGRADE + b"Content-Length: 3\r\n\r\nabc",
        UPGRADE + b"Sec-WebSocket-Version: 99\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Key: short\r\n\r\n",
        UPGRADE + b"X: \xff\xfe\r\n\r\n",
        UPGRADE.replace(b"websocket\r\n", b"websocket\r\nOrigin: \xff\r\n") + b"\r\n",
        UPGRADE + b"Sec-WebSocket-Protocol: a b, ,\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Extensions: x; =\r\n\r\n",
    ],
)
def test_no_request_makes_the_gateway_stumble(gateway_process: Process, sent: bytes) -> None:
    before = gateway_process.log.read_text().count("Traceback")

    with connected(gateway_process.ports[0]) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = client.recv(2**16)

    assert received == CLOSED or received.startswith(b"HTTP/1.1 ")
    assert gateway_process.log.read_text().count("Traceback") == before
    assert b"HTTP/1.1 500" not in received
    assert gateway_process.get("/livez").status_code == 200
