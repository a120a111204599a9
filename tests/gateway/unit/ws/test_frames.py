from __future__ import annotations

import pytest
from starlette.websockets import WebSocket
from websockets.frames import Frame, Opcode

from services.gateway.ws.frames import EXTENSION, frame_message, send
from services.gateway.ws.timeouts import SendTimeout
from tests.support.peer import Peer

MESSAGE = frame_message('{"type":"实例"}'.encode())


async def accepted(peer: Peer) -> WebSocket:
    websocket = peer.websocket()
    await websocket.accept()
    return websocket


def test_a_message_is_framed_as_the_server_would() -> None:
    assert MESSAGE.frame == Frame(Opcode.TEXT, MESSAGE.text.encode()).serialize(mask=False)
    assert MESSAGE.text == '{"type":"实例"}'


@pytest.mark.parametrize(("taken", "texts"), [(True, []), (False, [{"type": "实例"}])])
async def test_a_frame_that_is_not_taken_is_sent_as_text(taken: bool, texts: list[object]) -> None:
    peer, frames = Peer(), []

    def write(frame: bytes) -> bool:
        frames.append(frame)
        return taken

    websocket = await accepted(peer)
    websocket.scope["extensions"] = {EXTENSION: {"write": write}}

    await send(websocket, MESSAGE, SendTimeout(10))

    assert frames == [MESSAGE.frame]
    assert peer.heard() == texts


async def test_another_server_gets_the_text() -> None:
    peer = Peer()

    await send(await accepted(peer), MESSAGE, SendTimeout(10))

    assert peer.heard() == [{"type": "实例"}]
