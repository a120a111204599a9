"""Run the demo, `make demo`: two LXD hosts on this machine, with a few instances.

Everything that the demo creates is marked, so that `make demo-clean` removes it and nothing else:
its state and its second daemon have directories of their own, its instances on the machine's daemon
have a key in their configuration, its image an alias.
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
    debian_packages,
    install_packages,
    lxd_api,
    lxd_daemon,
    processes,
)
from deploy.local.run import (
    VAR,
    CannotStart,
    check_ports_free,
    machine_host,
    machine_lxd,
    run_lock,
    serve,
    stop_broker,
)
from deploy.local.services import PORT, LocalHost, binds, has_ipv6_loopback, loopback_binds
from shared.contracts.status import Status, is_alive

DIRECTORY = VAR / "demo"
SECOND_LXD = Path("/var/lib/lxdfleet-demo")
SECOND_BRIDGE = "fleetdemo"
IMAGE = "lxdfleet-demo"
KEY = "user.lxdfleet.demo"
TEMPLATES = Path(__file__).with_name("demo_templates.yaml")
# The port in the example clients of the VM API's document.
DOCUMENTED_PORT = 3000


@dataclass(frozen=True, slots=True)
class Example:
    """An instance of the demo; `ports` as in NAT-VPS notes: SSH, then first and last."""

    name: str
    ports: str = ""

    def description(self) -> str:
        """Return a NAT-VPS note with a new password."""
        if not self.ports:
            return ""
        ssh, *nat = self.ports.split()
        return " ".join([self.name, ssh, secrets.token_urlsafe(9), *nat])


FIRST = (Example("demo-web", "20001 30000 30025"), Example("demo-db", "20002"))
SECOND = (Example("demo-shop", "20003 30026 30051"), Example("demo-mail"))


def demo(env: Mapping[str, str]) -> int:
    """Run a fleet of two hosts until a signal stops it; return the exit code."""
    env = documented_environment(env)
    check_ports_free(binds(env))
    install_packages.install_missing(debian_packages.for_demo(env), env)
    with run_lock(DIRECTORY), ExitStack() as started:
        first = machine_host(DIRECTORY, env, started)
        second = LocalHost(f"{first.id}-2", _second_lxd(started))
        for host, examples in ((first, FIRST), (second, SECOND)):
            print(f"Starting instances on {host.id}", flush=True)
            _launch(host.socket, examples)
        return serve(DIRECTORY, [first, second], env, started)


def documented_environment(
    env: Mapping[str, str], is_free: Callable[[int], bool] = processes.bindable
) -> dict[str, str]:
    """Return an environment in which the documents' example clients work unchanged.

    Without their second port if it is in use. The caller's own settings take precedence.
    """
    ports = [PORT, DOCUMENTED_PORT] if is_free(DOCUMENTED_PORT) else [PORT]
    addresses = (loopback_binds(port, ipv6=has_ipv6_loopback()) for port in ports)
    defaults = {"FLEET_HTTP_BIND": ",".join(addresses), "FLEET_TEMPLATES_FILE": str(TEMPLATES)}
    return defaults | {name: value for name, value in env.items() if value}


def clean(env: Mapping[str, str]) -> int:
    """Remove everything that the demo created; return the exit code."""
    with run_lock(DIRECTORY), ExitStack() as started:
        if env.get("FLEET_LXD_SOCKET") or debian_packages.LXD.present():
            _remove_from(machine_lxd(DIRECTORY, env, started))
        flavour = lxd_daemon.installed()
        if flavour and SECOND_LXD.exists():
            lxd_daemon.remove(SECOND_LXD, flavour)
        stop_broker(DIRECTORY)
        shutil.rmtree(DIRECTORY)
    print("The demo has been removed.")
    return 0


def _second_lxd(started: ExitStack) -> Path:
    flavour = lxd_daemon.installed()
    if flavour is None or os.geteuid() != 0:
        raise CannotStart("The demo starts a second LXD daemon, which needs root: sudo make demo")
    started.callback(lxd_daemon.stop_for, DIRECTORY, SECOND_LXD)
    socket = lxd_daemon.start(SECOND_LXD, flavour, DIRECTORY)
    lxd_daemon.initialise(socket, SECOND_BRIDGE)
    return socket


def _launch(socket: Path, examples: tuple[Example, ...]) -> None:
    """Create missing instances, and start stopped ones."""
    busybox_image.ensure(socket, IMAGE)
    statuses = _demo_instances(socket)
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


def _demo_instances(socket: Path) -> dict[str, str]:
    """Return the status of each instance with the demo's key."""
    instances = lxd_api.call(socket, "GET", "/1.0/instances?recursion=1")
    return {one["name"]: one["status"] for one in instances if one["config"].get(KEY) == "true"}


def _remove_from(socket: Path) -> None:
    for name in _demo_instances(socket):
        lxd_daemon.force_delete(socket, name)
    busybox_image.remove(socket, IMAGE)
