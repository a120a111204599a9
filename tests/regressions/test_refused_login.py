"""A worker or sampler whose broker did not know its password yet ended with a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.processes import free_port, wait_until
from tests.support.broker import Vhost
from tests.support.daemons import ROOT


@pytest.mark.parametrize("service", ["gateway", "lxd_worker", "metrics"])
def test_a_service_waits_for_a_broker_that_refuses_its_login(
    vhost: Vhost, tmp_path: Path, service: str
) -> None:
    user, at, place = vhost.uri.rpartition("@")
    environment = {
        "FLEET_AMQP_URI": f"{user.rpartition(':')[0]}:wr0ng{at}{place}",
        "FLEET_HOST": "h1",
        "FLEET_LXD_SOCKET": "/nowhere",
        "FLEET_STATE_DIR": str(tmp_path),
        "FLEET_HTTP_BIND": f"127.0.0.1:{free_port()}",
    }
    log = tmp_path / "log"

    with log.open("w") as file:
        command = [sys.executable, "-m", f"services.{service}"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file)
    said = wait_until(lambda: "ACCESS_REFUSED" in log.read_text(), timeout_s=20)
    ended = process.poll()
    process.kill()
    process.wait()

    assert said, log.read_text()
    assert ended is None
    assert "Traceback" not in log.read_text()
    assert "wr0ng" not in log.read_text()
