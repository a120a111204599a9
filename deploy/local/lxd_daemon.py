"""Find or start an LXD daemon on this machine, and initialise it.

A daemon that is already set up is used as it is. Incus has the same API and works as well.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from deploy.local import lxd_api, processes
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused
from shared.lxd.errors import LxdNotFound
from shared.platform import private_files
from shared.platform.host_settings import LXD_SOCKETS

START_TIMEOUT_S = 60.0
BRIDGE_TRIES = 3
DELETE_TRIES = 10
BUSY_S = 0.5
MARK = "LXDFLEET_DAEMON"  # in the environment of each daemon that `start` has started
FLEET_MARK = "LXDFLEET_STARTED_FOR"  # also there: the directory of the fleet that stops it


@dataclass(frozen=True, slots=True)
class Flavour:
    """LXD or Incus, as the distribution packages it; `variable` sets a daemon's directory.

    The program has its full path, as Ubuntu has another `lxd`, which installs a snap.
    """

    program: Path
    variable: str
    directory: Path
    unit: str


LXD = Flavour(Path("/usr/bin/lxd"), "LXD_DIR", Path("/var/lib/lxd"), "lxd")
INCUS = Flavour(Path("/usr/libexec/incus/incusd"), "INCUS_DIR", Path("/var/lib/incus"), "incus")
FLAVOURS = (LXD, INCUS)


def find_socket() -> Path | None:
    """Return the socket of a running daemon that we may use."""
    return next((path for path in map(Path, LXD_SOCKETS) if lxd_api.answers(path)), None)


def installed() -> Flavour | None:
    """Return what is installed, LXD first."""
    return next((flavour for flavour in FLAVOURS if flavour.program.exists()), None)


def start_system(flavour: Flavour, fleet: Path | None = None) -> Path:
    """Start the machine's own daemon, with systemd if that runs; return its socket.

    Raises DidNotStart.
    """
    if not processes.systemd_runs():
        return start(flavour.directory, flavour, fleet)
    socket = flavour.directory / "unix.socket"
    done = subprocess.run(["systemctl", "start", flavour.unit], check=False)
    if done.returncode or not _becomes_ready(socket):
        raise processes.DidNotStart(
            f"{flavour.unit} did not start; see journalctl -u {flavour.unit}"
        )
    return socket


def is_ready(socket: Path) -> bool:
    """Return whether the daemon has opened its pools and networks; it answers before that."""
    try:
        return lxd_api.exists(socket, "/internal/ready")
    except FleetError:
        return False


def start(directory: Path, flavour: Flavour, fleet: Path | None = None) -> Path:
    """Start a daemon with all its state in this directory, unless it runs; return its socket.

    `fleet` is the directory of the fleet that will stop it: see `stop_for`. The directory's path
    must be short: that of a Unix socket has at most 107 bytes. Raises DidNotStart.
    """
    socket = directory / "unix.socket"
    log = directory.with_suffix(".log")
    with processes.file_lock(directory.with_suffix(".lock")):
        if is_ready(socket):
            return socket
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        command = [str(flavour.program), "--group", "root", "--logfile", str(log)]
        with processes.defer_signals():
            pid = processes.spawn(command, _environment(directory, flavour, fleet), log)
            _remember(pid, directory)
        if not _becomes_ready(socket):
            processes.end(pid, f"{MARK}={directory}")
            raise processes.DidNotStart(f"LXD did not start; see {log}")
    return socket


def stop(directory: Path) -> None:
    """Stop a daemon that `start` has started; its instances keep running."""
    if pid := _pid(directory):
        processes.end(pid, f"{MARK}={directory}", timeout_s=60.0)


def stop_for(fleet: Path, directory: Path) -> None:
    """Stop the directory's daemon if it was started for this fleet, and no other.

    An earlier run of the fleet may have started it and then been killed.
    """
    if pid := _pid(directory):
        processes.end(pid, _fleet_mark(fleet), timeout_s=60.0)


def limit_log(fleet: Path, directory: Path) -> None:
    """Limit the log of the directory's daemon, if it was started for this fleet."""
    if (pid := _pid(directory)) and processes.is_ours(pid, _fleet_mark(fleet)):
        processes.limit_log(directory.with_suffix(".log"))


def kill(directory: Path) -> None:
    """Kill a daemon that `start` has started, as a crash would."""
    if pid := _pid(directory):
        processes.kill(pid, f"{MARK}={directory}")


def initialise(socket: Path, bridge_prefix: str = "fleetbr") -> None:
    """Set up a daemon that has no storage pool: a pool, a bridge, a default profile with both.

    A daemon with a pool is left as it is. The bridge's name is the prefix and the first number that
    is free on this machine.
    """
    if lxd_api.call(socket, "GET", "/1.0/storage-pools"):
        return
    bridge = _new_bridge(socket, bridge_prefix)
    lxd_api.call(socket, "POST", "/1.0/storage-pools", {"name": "default", "driver": "dir"})
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "default"},
        "eth0": {"type": "nic", "name": "eth0", "network": bridge},
    }
    lxd_api.call(socket, "PUT", "/1.0/profiles/default", {"devices": devices})


def _new_bridge(socket: Path, prefix: str) -> str:
    """Create a bridge and return its name.

    Incus inspects all interfaces of the machine meanwhile, and fails if one disappears just then.
    """
    tries_left = BRIDGE_TRIES
    while True:
        tries_left -= 1
        bridge = free_name(prefix, {path.name for path in Path("/sys/class/net").iterdir()})
        try:
            lxd_api.call(socket, "POST", "/1.0/networks", _bridge(bridge))
        except LxdRefused:
            if not tries_left:
                raise
            with suppress(*lxd_api.ERRORS):
                lxd_api.call(socket, "DELETE", f"/1.0/networks/{bridge}")
        else:
            return bridge


def remove(directory: Path, flavour: Flavour) -> None:
    """Remove a daemon that `start` has started, with its instances, networks and files."""
    socket = start(directory, flavour)
    for name in _names(socket, "instances"):
        force_delete(socket, name)
    lxd_api.call(socket, "PUT", "/1.0/profiles/default", {"devices": {}})
    for network in lxd_api.call(socket, "GET", "/1.0/networks?recursion=1"):
        if network["managed"]:
            lxd_api.call(socket, "DELETE", f"/1.0/networks/{network['name']}")
    stop(directory)
    processes.unmount_below(directory)
    shutil.rmtree(directory)
    for rest in (".log", ".log.1", ".lock", ".pid"):
        directory.with_suffix(rest).unlink(missing_ok=True)


def force_delete(socket: Path, name: str) -> None:
    """Delete an instance, running or not, if it exists."""
    path, stop_now = f"/1.0/instances/{name}", {"action": "stop", "force": True, "timeout": 30}
    tries_left = DELETE_TRIES
    while lxd_api.exists(socket, path):
        tries_left -= 1
        try:
            with suppress(LxdRefused):  # it is stopped already
                lxd_api.call(socket, "PUT", f"{path}/state", stop_now)
            lxd_api.call(socket, "DELETE", path)
        except LxdNotFound:
            return
        except LxdBusy:
            # LXD deletes an ephemeral one itself, and tidies up after a failed start.
            if not tries_left:
                raise
            time.sleep(BUSY_S)
        except LxdRefused:
            if lxd_api.exists(socket, path):
                raise


def free_name(prefix: str, taken: set[str]) -> str:
    """Return the prefix with the first number that makes it unique."""
    return next(name for number in count() if (name := f"{prefix}{number}") not in taken)


def free_subnet() -> ipaddress.IPv4Network:
    """Return a private /24 network that overlaps no route of this machine."""
    taken = routes(Path("/proc/net/route").read_text())
    while True:
        second, third = os.urandom(2)
        subnet = ipaddress.IPv4Network(f"10.{second}.{third}.0/24")
        if not any(subnet.overlaps(route) for route in taken):
            return subnet


def routes(table: str) -> list[ipaddress.IPv4Network]:
    """Return the destinations of a `/proc/net/route`, without the default route."""
    rows = [line.split() for line in table.splitlines()[1:]]
    networks = [(_address(row[1]), _address(row[7])) for row in rows]
    return [ipaddress.IPv4Network((network, str(mask))) for network, mask in networks if int(mask)]


def _becomes_ready(socket: Path) -> bool:
    return processes.wait_until(lambda: is_ready(socket), timeout_s=START_TIMEOUT_S)


def _address(little_endian: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(little_endian), "little"))


def _bridge(name: str) -> dict[str, Any]:
    gateway = next(free_subnet().hosts())
    config = {"ipv4.address": f"{gateway}/24", "ipv4.nat": "true", "ipv6.address": "none"}
    return {"name": name, "type": "bridge", "config": config}


def _environment(directory: Path, flavour: Flavour, fleet: Path | None) -> dict[str, str]:
    own = {flavour.variable: str(directory), MARK: str(directory)}
    return os.environ | own | ({FLEET_MARK: str(fleet.absolute())} if fleet else {})


def _fleet_mark(fleet: Path) -> str:
    return f"{FLEET_MARK}={fleet.absolute()}"


def _remember(pid: int, directory: Path) -> None:
    try:
        private_files.write(directory.with_suffix(".pid"), str(pid), mode=0o644)
    except OSError:
        processes.end(pid, f"{MARK}={directory}")  # it could not be found again
        raise


def _pid(directory: Path) -> int | None:
    file = directory.with_suffix(".pid")
    text = file.read_text() if file.exists() else ""
    return int(text) if text.isdecimal() else None


def _names(socket: Path, collection: str) -> list[str]:
    return [path.rpartition("/")[2] for path in lxd_api.call(socket, "GET", f"/1.0/{collection}")]
