"""`make demo`: two LXD hosts on this machine, with a few instances to look at.

All that the demo makes can be told from what was there before, so that `make demo-clean` removes it
and nothing else: its state and its second daemon have directories of their own, its instances on
the machine's daemon carry a key in their configuration, its image an alias.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.local import (
    busybox_image,
    install_packages,
    lxd_api,
    lxd_daemon,
    processes,
    requirements,
)
from deploy.local.run import (
    VAR,
    Refused,
    machine_host,
    machine_lxd,
    only_run,
    refuse_taken_ports,
    serve,
    stop_broker,
)
from deploy.local.services import PORT, Host, binds, has_ipv6_loopback, loopback_binds
from shared.contracts.status import Status, is_alive

DIRECTORY = VAR / "demo"
SECOND_LXD = Path("/var/lib/lxdfleet-demo")
SECOND_BRIDGE = "fleetdemo"
IMAGE = "lxdfleet-demo"
KEY = "user.lxdfleet.demo"
TEMPLATES = Path(__file__).with_name("demo_templates.yaml")
# Where the clients in the VM API's document look for it.
DOCUMENTED_PORT = 3000


@dataclass(frozen=True, slots=True)
class Example:
    """An instance of the demo; `ports` as NAT-VPS scripts note them: SSH, then first and last."""

    name: str
    ports: str = ""

    def description(self) -> str:
        """Return a description as such a script leaves it, with a fresh password."""
        if not self.ports:
            return ""
        ssh, *nat = self.ports.split()
        return " ".join([self.name, ssh, secrets.token_urlsafe(9), *nat])


FIRST = (Example("demo-web", "20001 30000 30025"), Example("demo-db", "20002"))
SECOND = (Example("demo-shop", "20003 30026 30051"), Example("demo-mail"))


def demo(env: Mapping[str, str]) -> int:
    """Run a fleet of two hosts until it is told to stop; return the exit code."""
    env = as_documented(env)
    refuse_taken_ports(binds(env))
    install_packages.provide(requirements.for_demo(env), env)
    with only_run(DIRECTORY), ExitStack() as started:
        first = machine_host(DIRECTORY, env, started)
        second = Host(f"{first.id}-2", _second_lxd(started))
        for host, examples in ((first, FIRST), (second, SECOND)):
            print(f"Starting instances on {host.id}", flush=True)
            _launch(host.socket, examples)
        return serve(DIRECTORY, [first, second], env, started)


def as_documented(
    env: Mapping[str, str], is_free: Callable[[int], bool] = processes.bindable
) -> dict[str, str]:
    """Return the environment of a fleet that suits the documents' clients as they stand.

    Their second port is left out where it is taken; what the caller has set stays.
    """
    ports = [PORT, DOCUMENTED_PORT] if is_free(DOCUMENTED_PORT) else [PORT]
    every = (loopback_binds(port, ipv6=has_ipv6_loopback()) for port in ports)
    suiting = {"FLEET_HTTP_BIND": ",".join(every), "FLEET_TEMPLATES_FILE": str(TEMPLATES)}
    return suiting | {name: value for name, value in env.items() if value}


def clean(env: Mapping[str, str]) -> int:
    """Remove all that the demo made; return the exit code."""
    with only_run(DIRECTORY), ExitStack() as started:
        if env.get("FLEET_LXD_SOCKET") or requirements.LXD.present():
            _remove_from(machine_lxd(DIRECTORY, env, started))
        flavour = lxd_daemon.installed()
        if flavour and SECOND_LXD.exists():
            lxd_daemon.remove(SECOND_LXD, flavour)
        stop_broker(DIRECTORY)
        shutil.rmtree(DIRECTORY)
    print("The demo is gone.")
    return 0


def _second_lxd(started: ExitStack) -> Path:
    flavour = lxd_daemon.installed()
    if flavour is None or os.geteuid() != 0:
        raise Refused("The demo starts a second LXD daemon, which only root can: sudo make demo")
    started.callback(lxd_daemon.stop_for, DIRECTORY, SECOND_LXD)
    socket = lxd_daemon.start(SECOND_LXD, flavour, DIRECTORY)
    lxd_daemon.initialise(socket, SECOND_BRIDGE)
    return socket


def _launch(socket: Path, examples: tuple[Example, ...]) -> None:
    """Create the instances that do not exist, and start those that are stopped."""
    busybox_image.ensure(socket, IMAGE)
    statuses = _ours(socket)
    for example in examples:
        if example.name not in statuses:
            lxd_api.call(socket, "POST", "/1.0/instances", _request(example))
        if not is_alive(statuses.get(example.name, Status.STOPPED)):
            state = f"/1.0/instances/{example.name}/state"
            lxd_api.call(socket, "PUT", state, {"action": "start"})


def _request(example: Example) -> dict[str, object]:
    return {
        "name": example.name,
        "description": example.description(),
        "source": {"type": "image", "alias": IMAGE},
        "config": {KEY: "true", "limits.memory": "64MiB"},
    }


def _ours(socket: Path) -> dict[str, str]:
    """Return the status of each instance that carries the demo's key."""
    listed = lxd_api.call(socket, "GET", "/1.0/instances?recursion=1")
    return {one["name"]: one["status"] for one in listed if one["config"].get(KEY) == "true"}


def _remove_from(socket: Path) -> None:
    for name in _ours(socket):
        lxd_daemon.force_delete(socket, name)
    busybox_image.remove(socket, IMAGE)
