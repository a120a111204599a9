"""A guest names its own processes as it likes, and cannot escape an operation by that."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contracts.operations import Kind, State
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances

from .conftest import carried_out

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("worker")]

# The kernel cuts a name at 15 bytes, here in the middle of the last letter.
CUT = "abcdefghijklmn\u00e9".encode()[:15]
# What root in the guest can put in the place of its own init.
INIT = r"""#!/bin/sh
trap "exit 0" PWR TERM USR1 USR2
printf "abcdefghijklmn\303\251" > /proc/1/comm
while :; do sleep 60 & wait $!; done
"""
TAKE_OVER = f"rm /sbin/init && cat > /sbin/init <<'END' && chmod 755 /sbin/init\n{INIT}END\n"


def renamed_init(bus: BusSide, instances: Instances) -> str:
    """Launch a container whose first process has given itself a name that is no text."""
    name = instances.launch()
    run = {"command": ["sh", "-c", TAKE_OVER], "wait-for-websocket": False, "interactive": False}
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", run)
    instances.set_state(name, "restart", force=True)
    pid = instances.lxd.call("GET", f"/1.0/instances/{name}/state")["pid"]
    bus.until(lambda: Path(f"/proc/{pid}/comm").read_bytes() == CUT + b"\n")
    return name


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Kind.STOP, {"force": True}),
        (Kind.STOP, {}),
        (Kind.RESTART, {"force": True}),
        (Kind.FREEZE, {}),
        (Kind.SNAPSHOT, {"snapshot": "s1"}),
        (Kind.DELETE, {"force": True}),
    ],
)
def test_an_instance_whose_init_has_a_name_that_is_no_text_is_operated_like_any_other(
    bus: BusSide, instances: Instances, kind: Kind, arguments: dict[str, object]
) -> None:
    name = renamed_init(bus, instances)

    assert carried_out(bus, instances, kind, name, **arguments).state is State.DONE
