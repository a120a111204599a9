from __future__ import annotations

import pytest

from services.lxd_worker.lxd.websocket import LxdSocket


def test_whoever_reads_ends_when_the_rest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = LxdSocket("/nowhere", "/1.0/operations/1/websocket", "secret=s")
    # Two greenthreads that read one socket are an error.
    monkeypatch.setattr(socket, "_read", lambda: pytest.fail("a second reader"))

    socket.skip(0.0)

    assert list(socket) == []
    socket.close()
