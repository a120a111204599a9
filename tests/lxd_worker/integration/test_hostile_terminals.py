"""A terminal of which LXD sends more at once than anybody would wait for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.lxd_worker.lxd.console import LxdTerminals
from services.lxd_worker.lxd.websocket import MOST_MESSAGE_BYTES
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.lxd.client import LxdClient
from tests.lxd_double import DoubledInstance, LxdDouble

pytestmark = pytest.mark.attack


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        double.add(DoubledInstance("web", status="Running"))
        yield double


def test_a_message_without_end_ends_the_terminal(double: LxdDouble) -> None:
    api = LxdClient(double.socket, "h1")
    terminals = LxdTerminals(api, ["sh"])
    request = OpenConsole(
        stream="s", project="default", name="web", uuid="", type=ConsoleType.EXEC, principal="p"
    )

    terminal = terminals.open(request)
    terminal.write(b"x" * (MOST_MESSAGE_BYTES + 1))  # the double sends it back as it came
    shown = b"".join(terminal)
    terminal.hang_up()
    terminal.close()

    assert shown
    assert b"x" not in shown
    assert terminal.exit_status() is None
