"""Which ports of the host are in use, by the kernel's lists."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.lxd_worker.creation.port_pool import ports_in_use

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
TCP = (
    "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
    "   1: 0100007F:9C40 0100007F:1538 01 00000000:00000000 00:00000000 00000000     0\n"
)
UDP6 = (
    "  10: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07"
    " 00000000:00000000 00:00000000 00000000     0\n"
)


def test_each_ports_protocol_is_that_of_its_list(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEADER + TCP)
    (tmp_path / "udp").write_text(HEADER)
    (tmp_path / "udp6").write_text(HEADER + UDP6)

    assert ports_in_use(tmp_path) == {("tcp", 22), ("tcp", 40000), ("udp", 53)}


@pytest.mark.attack
def test_a_line_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_bytes(HEADER.encode() + b"\xff\n   0: x:y\n\n" + TCP.encode())

    assert ports_in_use(tmp_path) == {("tcp", 22), ("tcp", 40000)}


def test_a_program_of_this_machine_holds_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ("tcp", server.getsockname()[1]) in ports_in_use()
