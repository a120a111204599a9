"""Runs a fleet in the foreground, and stops what it started.

The broker is a private node, the LXD daemon the machine's own. Instances go on running whatever
ends here, and so does a daemon that ran before or that systemd looks after. A daemon that had to be
started by hand is stopped in order, which its instances do not notice; the next run starts it.
First the services end, then the broker, LXD last. A run that was killed leaves the daemons to the
next one, which takes them over and stops them.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from deploy.local import (
    broker,
    credentials,
    definitions,
    install_packages,
    lxd_daemon,
    processes,
    requirements,
)
from deploy.local.services import Host, Service, binds, broker_keeper, services, url
from deploy.local.supervisor import ROOT, STOP_SIGNALS, Supervisor
from shared.platform.bus import topology
from shared.platform.host_settings import host_id
from shared.platform.settings import EnvReader

VAR = ROOT / "var"
BROKER = "broker"
# Until a gateway that does not answer is said not to.
PATIENCE_S = 120.0


class Refused(Exception):
    """The fleet cannot be started as things are; the text says what to change."""


def run(env: Mapping[str, str]) -> int:
    """Run a fleet of this one host until it is told to stop; return the exit code."""
    refuse_taken_ports(binds(env))
    install_packages.provide(requirements.for_run(env), env)
    with only_run(VAR), ExitStack() as started:
        return serve(VAR, [machine_host(VAR, env, started)], env, started)


@contextmanager
def only_run(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that one fleet at most runs in it. Raises Refused."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"It runs already: something holds {lock.name}") from None
        yield


def machine_host(directory: Path, env: Mapping[str, str], started: ExitStack) -> Host:
    """Return this machine as a host, with its daemon running and ready for instances."""
    reader = EnvReader(env)
    name = host_id(reader)
    reader.check()
    return Host(name, machine_lxd(directory, env, started))


def machine_lxd(directory: Path, env: Mapping[str, str], started: ExitStack) -> Path:
    """Return the socket of the machine's daemon, started and initialised if need be.

    A daemon that was started for the fleet of this directory is stopped by `started`. Raises
    Refused, Missing.
    """
    named = env.get("FLEET_LXD_SOCKET")
    path = Path(named) if named else _machine_lxd(directory, started)
    lxd_daemon.initialise(path)
    return path


def serve(
    directory: Path, hosts: Sequence[Host], env: Mapping[str, str], started: ExitStack
) -> int:
    """Run broker and services until one of them ends or we are told to; return the exit code."""
    addresses = _broker_addresses(directory, hosts, env, started)
    uris = credentials.write_uris(directory / "credentials", addresses)
    listed = services(hosts, directory, uris, env)
    if broker.running(directory / BROKER):
        listed.append(broker_keeper(directory / BROKER, env))

    def limit_logs() -> None:
        """Keep short what daemons of ours append to, and do not limit themselves."""
        for host in hosts:
            lxd_daemon.limit_log(directory, host.socket.parent)
        for name in broker.APPENDED_LOGS:
            processes.limit_log(directory / BROKER / "log" / name)

    return _supervise(listed, url(binds(env)), limit_logs)


def _machine_lxd(directory: Path, started: ExitStack) -> Path:
    flavour = lxd_daemon.installed()
    if flavour:
        started.callback(lxd_daemon.stop_for, directory, flavour.directory)
    if found := lxd_daemon.found():
        return found
    if os.geteuid() != 0 or flavour is None:
        raise Refused("No LXD or Incus answers to this user. Run this as root, or join its group.")
    print(f"Starting {flavour.unit}", flush=True)
    return lxd_daemon.start_system(flavour, directory)


def refuse_taken_ports(addresses: str) -> None:
    """Raise Refused where another process listens already on what the gateway would listen on."""
    for address in addresses.split(","):
        port = address.rpartition(":")[2]
        if port.isdecimal() and not processes.bindable(int(port)):
            raise Refused(f"Port {port} is taken. Choose another: FLEET_HTTP_BIND=127.0.0.1:8001")


def _broker_addresses(
    directory: Path, hosts: Sequence[Host], env: Mapping[str, str], started: ExitStack
) -> dict[str, str]:
    """Return the address under which each user reaches the broker, which runs then."""
    users = credentials.users(directory / "credentials", [host.id for host in hosts])
    reader = EnvReader(env)
    given = reader.secret("FLEET_AMQP_URI", "")
    reader.check()
    if given:
        declare_on(given, [host.id for host in hosts])
        return {user.name: given for user in users}
    print(f"Starting RabbitMQ in {directory / BROKER}", flush=True)
    started.callback(stop_broker, directory)
    node = broker.start(directory / BROKER, definitions.of(users))
    addresses = {user.name: node.uri(user.name, user.password) for user in users}
    # The gateway declares it too, but the services of the hosts may be faster than the gateway.
    topology.declare(addresses[credentials.CENTRAL])
    return addresses


def declare_on(address: str, hosts: Sequence[str]) -> None:
    """Declare the topology on a broker of which all services are one user. Raises Refused."""
    password = topology.password_of(address)
    exchanges = [topology.host_exchange(host, password) for host in hosts]
    try:
        topology.declare(address, exchanges)
    except (AMQPError, KombuError, OSError) as exc:
        # Not the address, which holds the password.
        raise Refused(f"The broker of FLEET_AMQP_URI takes no declarations: {exc}") from exc


def stop_broker(directory: Path) -> None:
    """Stop the fleet's private broker, if it runs."""
    if node := broker.running(directory / BROKER):
        broker.stop(node)


def _supervise(listed: Sequence[Service], address: str, limit_logs: Callable[[], None]) -> int:
    for service in listed:
        Path(service.env["FLEET_STATE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    ended = threading.Event()
    threading.Thread(target=_announce, args=(address, ended), daemon=True).start()
    try:
        return exit_code(Supervisor(sys.stdout, chores=limit_logs).run(listed))
    finally:
        ended.set()


def exit_code(returned: int) -> int:
    """Return this program's exit code: being told to stop by a signal is no failure."""
    return 0 if returned in {128 + number for number in STOP_SIGNALS} else returned


def _announce(address: str, ended: threading.Event) -> None:
    """Print the address as soon as it answers, or that it does not, unless the fleet has ended."""
    settled = processes.wait_until(
        lambda: ended.is_set() or _answers(address), timeout_s=PATIENCE_S, interval_s=0.2
    )
    said = f"The fleet is at {address}   (Ctrl-C stops it)"
    if not settled:
        said = f"{address} does not answer yet; see the lines above"
    if not ended.is_set():
        sys.stdout.write(f"\n  {said}\n\n")


def _answers(address: str) -> bool:
    """Tell whether a gateway says that it lives."""
    try:
        with urllib.request.urlopen(f"{address}/livez", timeout=2):  # noqa: S310 - our own address
            return True
    except OSError:
        return False
