"""A WebSocket that LXD opens for one of its operations, as bytes.

Not pylxd's client: the library below it reads a frame in four pieces and masks what is sent byte by
byte in Python. This is the protocol of `websockets` without its input and output.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

CONNECT_S = 5.0
READ_BYTES = 65536
# LXD sends what a process has written in pieces of 128 KiB at the most.
MOST_MESSAGE_BYTES = 1 << 20
_WITH_DATA = (Opcode.BINARY, Opcode.TEXT, Opcode.CONT)


class LxdSocket:
    """To be connected before anything else, and closed at the end.

    A message of more than `MOST_MESSAGE_BYTES` is not read, and nothing after it. One may read
    while another sends. `complete`: LXD has said that there is no more to read.
    """

    def __init__(self, path: str, resource: str, query: str) -> None:
        address = WebSocketURI(False, "lxd", 80, resource, query)
        self._path = path
        self._protocol = ClientProtocol(address, max_size=MOST_MESSAGE_BYTES)
        self._sending = Lock()
        self._is_reading = False
        self._is_skipped = False
        self.complete = False
        self._socket = socket.socket(socket.AF_UNIX)

    def connect(self) -> None:
        """Raise OSError where LXD does not agree to it."""
        self._socket.settimeout(CONNECT_S)
        self._socket.connect(self._path)
        self._shake_hands()
        self._socket.settimeout(None)

    def __iter__(self) -> Iterator[bytes]:
        """Yield what comes, until LXD says that it was all, or goes, or we hang up.

        What has come by the time is one piece, however many frames it was.
        """
        while True:
            frames = [each for each in self._protocol.events_received() if isinstance(each, Frame)]
            if data := b"".join(each.data for each in frames if each.opcode in _WITH_DATA):
                yield data
            self.complete = any(_is_end(each) for each in frames)
            if self.complete or self._is_skipped or not self._read():
                return

    def send(self, data: bytes | str) -> None:
        """Send bytes, or a text; raise OSError when nobody is there."""
        try:
            if isinstance(data, str):
                self._protocol.send_text(data.encode())
            else:
                self._protocol.send_binary(data)
        except InvalidState as exc:
            raise ConnectionError(str(exc)) from exc
        self._flush(wait=True)

    def hang_up(self) -> None:
        """End the connection for whoever reads or sends.

        Without a farewell: LXD would not answer it, and would let the process live.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def skip(self, at_most_s: float) -> None:
        """Drop what comes, until LXD hangs up or these seconds are over; from then on nobody reads.

        Returns at once where somebody else is reading: then nothing has to wait in LXD.
        """
        if self._is_reading:
            return
        self._is_skipped = True
        deadline = time.monotonic() + at_most_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left_s)
            if not self._read():
                return

    def close(self) -> None:
        """Let go of the socket, after `hang_up`; nobody may be using it any more.

        What came last is read first. A socket that is closed with something unread is an error to
        LXD and no end, and after an error it lets the process live.
        """
        with suppress(OSError):
            while self._socket.recv(READ_BYTES):
                pass
        self._socket.close()

    def _shake_hands(self) -> None:
        self._protocol.send_request(self._protocol.connect())
        self._flush(wait=True)
        while self._protocol.state is State.CONNECTING and not self._protocol.handshake_exc:
            if not self._read():
                break
        if self._protocol.state is not State.OPEN:
            raise ConnectionError(str(self._protocol.handshake_exc or "LXD hung up"))

    def _read(self) -> bool:
        """Take in what comes next; tell whether there is more to come."""
        self._is_reading = True
        try:
            data = self._socket.recv(READ_BYTES)
            self._protocol.receive_data(data)
            self._flush(wait=False)  # answers to pings
        except OSError:
            return False
        finally:
            self._is_reading = False
        return bool(data)

    def _flush(self, *, wait: bool) -> None:
        """Send what is to be sent; without waiting, leave it to whoever is sending now.

        A reader must not wait for a sender: that one may wait for a process to read, which waits
        for its output to be read.
        """
        if not self._sending.acquire(blocking=wait):
            return
        try:
            while pieces := self._protocol.data_to_send():
                self._socket.sendall(b"".join(pieces))
        finally:
            self._sending.release()


def _is_end(frame: Frame) -> bool:
    return frame.opcode is Opcode.TEXT and not frame.data
