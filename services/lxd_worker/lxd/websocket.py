"""A WebSocket of one of LXD's operations, as bytes.

Not pylxd's client: the library below it reads a frame in four pieces and masks what is sent byte by
byte in Python. This uses the protocol of `websockets`, without its I/O.
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
# LXD sends the output of a process in pieces of at most 128 KiB.
MOST_MESSAGE_BYTES = 1 << 20
# More than fits into a socket's buffers: nothing comes after we have hung up.
MOST_UNREAD_PIECES = 256
_WITH_DATA = (Opcode.BINARY, Opcode.TEXT, Opcode.CONT)


class LxdSocket:
    """Call `connect` before anything else, and `close` at the end.

    A message of more than `MOST_MESSAGE_BYTES` is not read, and nothing after it. One greenthread
    may read while another sends. `complete`: LXD has announced the end of the output.
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
        """Connect; raise OSError if LXD refuses."""
        self._socket.settimeout(CONNECT_S)
        self._socket.connect(self._path)
        self._shake_hands()
        self._socket.settimeout(None)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the output until LXD announces its end, LXD goes away, or we hang up.

        All that has arrived by then is one piece, however many frames it was. Others get their turn
        before each reading: a process that prints without end always has more to read.
        """
        while True:
            frames = [each for each in self._protocol.events_received() if isinstance(each, Frame)]
            if data := b"".join(each.data for each in frames if each.opcode in _WITH_DATA):
                yield data
            self.complete = any(_is_end(each) for each in frames)
            if self.complete or self._is_skipped or not self._read():
                return

    def send(self, data: bytes | str) -> None:
        """Send bytes or a text; raise OSError if nobody is there."""
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

        Without a close frame: LXD would not answer it, and would let the process live.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def skip(self, at_most_s: float) -> None:
        """Drop the output until LXD hangs up, for at most so long; from then on nobody reads.

        Returns at once if somebody else is reading: then no output has to wait in LXD.
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
        """Release the socket, after `hang_up`; nobody may be using it any more.

        The rest of the output is read first: a socket that is closed with something unread is an
        error to LXD and not an end, and after an error it lets the process live.
        """
        with suppress(OSError):
            for _ in range(MOST_UNREAD_PIECES):
                if not self._socket.recv(READ_BYTES):
                    break
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
        """Read what comes next; return whether there may be more."""
        self._is_reading = True
        time.sleep(0)
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
        """Send what is to be sent; without `wait`, leave it to whoever is sending now.

        A reader must not wait for a sender: the sender may wait for a process to read, and that for
        its output to be read.
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
