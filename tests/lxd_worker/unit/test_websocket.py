from __future__ import annotations

import socket as sockets
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from services.lxd_worker.lxd.websocket import LxdSocket

FRAME = Frame(Opcode.BINARY, b"y" * 32).serialize(mask=False)


def print_without_end(listening: sockets.socket) -> None:
    """Be an LXD whose process prints until nobody listens."""
    peer, _ = listening.accept()
    protocol = ServerProtocol()
    while not (requests := protocol.events_received()):
        protocol.receive_data(peer.recv(65536))
    (request,) = requests
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    for piece in protocol.data_to_send():
        peer.sendall(piece)
    with peer:
        try:
            while True:
                peer.sendall(FRAME * 1000)
        except OSError:
            return


@pytest.mark.attack
def test_others_get_their_turn_while_a_process_prints_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "lxd")
    turns: list[float] = []
    with sockets.socket(sockets.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(1)
        printing = Thread(target=print_without_end, args=(listening,), daemon=True)
        printing.start()
        socket = LxdSocket(path, "/1.0/operations/1/websocket", "secret=s")
        socket.connect()
        # eventlet gives the others their turn in any sleep, however short.
        monkeypatch.setattr("services.lxd_worker.lxd.websocket.time.sleep", turns.append)
        pieces = list(islice(socket, 50))
        socket.hang_up()
        socket.close()
        printing.join(5.0)

    # The first piece may have come with the handshake.
    assert len(turns) >= len(pieces) - 1 == 49
    assert not printing.is_alive()


def test_whoever_reads_ends_when_the_rest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = LxdSocket("/nowhere", "/1.0/operations/1/websocket", "secret=s")
    # Two greenthreads that read one socket are an error.
    monkeypatch.setattr(socket, "_read", lambda: pytest.fail("a second reader"))

    socket.skip(0.0)

    assert list(socket) == []
    socket.close()
