"""Run a fleet in the foreground, and stop what it started.

The broker is a private node, the LXD daemon the machine's own. Instances keep running, and so does
a daemon that ran before or that systemd manages. A daemon that this program started itself is
stopped in order, without effect on its instances; the next run starts it. The services end first,
then the broker, LXD last. If a run is killed, the next one takes its daemons over and stops them.
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
    debian_packages,
    install_packages,
    lxd_daemon,
    processes,
    rabbitmq_definitions,
)
from deploy.local.services import LocalHost, Service, binds, broker_supervisor, services, url
from deploy.local.supervisor import ROOT, STOP_SIGNALS, Supervisor
from shared.platform.bus import topology
from shared.platform.host_settings import host_id
from shared.platform.settings import EnvReader

VAR = ROOT / "var"
BROKER = "broker"
# Until a gateway that does not answer is reported.
ANSWER_TIMEOUT_S = 120.0


class CannotStart(Exception):
    """The fleet cannot be started; the text says what to change."""


def run(env: Mapping[str, str]) -> int:
    """Run a fleet of this one host until a signal stops it; return the exit code."""
    check_ports_free(binds(env))
    install_packages.install_missing(debian_packages.for_run(env), env)
    with run_lock(VAR), ExitStack() as started:
        return serve(VAR, [machine_host(VAR, env, started)], env, started)


@contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that only one fleet runs in it. Raises CannotStart."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"A fleet is already running: {lock.name} is locked") from None
        yield


def machine_host(directory: Path, env: Mapping[str, str], started: ExitStack) -> LocalHost:
    """Return this machine as a host, with its daemon running and ready for instances."""
    reader = EnvReader(env)
    name = host_id(reader)
    reader.check()
    return LocalHost(name, machine_lxd(directory, env, started))


def machine_lxd(directory: Path, env: Mapping[str, str], started: ExitStack) -> Path:
    """Return the socket of the machine's daemon; start and initialise it if necessary.

    `started` stops a daemon that was started for this directory's fleet. Raises CannotStart,
    DidNotStart.
    """
    setting = env.get("FLEET_LXD_SOCKET")
    path = Path(setting) if setting else _machine_lxd(directory, started)
    lxd_daemon.initialise(path)
    return path


def serve(
    directory: Path, hosts: Sequence[LocalHost], env: Mapping[str, str], started: ExitStack
) -> int:
    """Run broker and services until one ends or a signal stops us; return the exit code."""
    addresses = _broker_addresses(directory, hosts, env, started)
    uris = credentials.write_uris(directory / "credentials", addresses)
    to_run = services(hosts, directory, uris, env)
    if broker.running(directory / BROKER):
        to_run.append(broker_supervisor(directory / BROKER, env))

    def limit_logs() -> None:
        """Limit the logs that our daemons append to without rotating them."""
        for host in hosts:
            lxd_daemon.limit_log(directory, host.socket.parent)
        for name in broker.APPENDED_LOGS:
            processes.limit_log(directory / BROKER / "log" / name)

    return _supervise(to_run, url(binds(env)), limit_logs)


def _machine_lxd(directory: Path, started: ExitStack) -> Path:
    flavour = lxd_daemon.installed()
    if flavour:
        started.callback(lxd_daemon.stop_for, directory, flavour.directory)
    if socket := lxd_daemon.find_socket():
        return socket
    if os.geteuid() != 0 or flavour is None:
        raise CannotStart(
            "No LXD or Incus answers this user. Run this as root, or join the daemon's group."
        )
    print(f"Starting {flavour.unit}", flush=True)
    return lxd_daemon.start_system(flavour, directory)


def check_ports_free(addresses: str) -> None:
    """Raise CannotStart if another process uses a port on which the gateway would listen."""
    for address in addresses.split(","):
        port = address.rpartition(":")[2]
        if port.isdecimal() and not processes.bindable(int(port)):
            raise CannotStart(
                f"Port {port} is in use. Choose another: FLEET_HTTP_BIND=127.0.0.1:8001"
            )


def _broker_addresses(
    directory: Path, hosts: Sequence[LocalHost], env: Mapping[str, str], started: ExitStack
) -> dict[str, str]:
    """Start the broker, unless the environment names one; return each user's URI of it."""
    users = credentials.users(directory / "credentials", [host.id for host in hosts])
    reader = EnvReader(env)
    setting = reader.secret("FLEET_AMQP_URI", "")
    reader.check()
    if setting:
        declare_topology(setting, [host.id for host in hosts])
        return {user.name: setting for user in users}
    print(f"Starting RabbitMQ in {directory / BROKER}", flush=True)
    started.callback(stop_broker, directory)
    node = broker.start(directory / BROKER, rabbitmq_definitions.of(users))
    addresses = {user.name: node.uri(user.name, user.password) for user in users}
    # The gateway declares it too, but the hosts' services may start faster.
    topology.declare(addresses[credentials.CENTRAL])
    return addresses


def declare_topology(address: str, hosts: Sequence[str]) -> None:
    """Declare the topology on a broker where all services share one user. Raises CannotStart."""
    password = topology.password_of(address)
    exchanges = [topology.host_exchange(host, password) for host in hosts]
    try:
        topology.declare(address, exchanges)
    except (AMQPError, KombuError, OSError) as exc:
        # Without the URI, which contains the password.
        raise CannotStart(f"Cannot declare the topology on FLEET_AMQP_URI: {exc}") from exc


def stop_broker(directory: Path) -> None:
    """Stop the fleet's private broker, if it runs."""
    if node := broker.running(directory / BROKER):
        broker.stop(node)


def _supervise(to_run: Sequence[Service], address: str, limit_logs: Callable[[], None]) -> int:
    for service in to_run:
        Path(service.env["FLEET_STATE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    ended = threading.Event()
    threading.Thread(target=_announce, args=(address, ended), daemon=True).start()
    try:
        return exit_code(Supervisor(sys.stdout, chores=limit_logs).run(to_run))
    finally:
        ended.set()


def exit_code(returned: int) -> int:
    """Return this program's exit code: stopping on a signal is no failure."""
    return 0 if returned in {128 + number for number in STOP_SIGNALS} else returned


def _announce(address: str, ended: threading.Event) -> None:
    """Print the address once it answers, or that it does not, unless the fleet has ended."""
    settled = processes.wait_until(
        lambda: ended.is_set() or _answers(address), timeout_s=ANSWER_TIMEOUT_S, interval_s=0.2
    )
    text = f"The fleet is at {address}   (Ctrl-C stops it)"
    if not settled:
        text = f"{address} does not answer yet; see the lines above"
    if not ended.is_set():
        sys.stdout.write(f"\n  {text}\n\n")


def _answers(address: str) -> bool:
    """Return whether a gateway reports that it is alive."""
    try:
        with urllib.request.urlopen(f"{address}/livez", timeout=2):  # noqa: S310 - our own address
            return True
    except OSError:
        return False
