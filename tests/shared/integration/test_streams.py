"""A host's streams on a real broker: what cannot be decoded costs the one into which it comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.platform.bus import topology
from tests.support.broker import Vhost

SCRIPT = Path(__file__).with_name("poisoned_streams.py")


@pytest.mark.attack
def test_streams_that_end_by_poison_leave_room_for_others(vhost: Vhost) -> None:
    topology.declare(vhost.uri)

    ran = subprocess.run(
        [sys.executable, str(SCRIPT), vhost.host_uri("h1"), vhost.uri],
        env={"PYTHONPATH": ".", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.stdout.splitlines() == ["opened"] * (topology.MOST_STREAMS + 1), ran.stderr
