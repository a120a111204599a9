"""Run a private RabbitMQ node, beside any RabbitMQ that the machine may run already.

One directory holds everything: ports, cookie, database, logs. The node has its own Erlang port
mapper, listens on loopback only, on ports of its own, and has only the users in its definitions.

It outlives the process that started it. `python -m deploy.local.broker` restarts it when it dies.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from deploy import rabbitmq
from deploy.local import nonblocking_output, processes
from deploy.local.rabbitmq_definitions import Definitions
from shared.platform import private_files

# Not Debian's wrappers in /usr/sbin, which use the machine's own node.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")

START_TIMEOUT_S = 90.0
CHECK_S = 1.0
# Until a retry on a full disk: starting a node keeps a core busy for seconds.
DISK_S = 10.0
# Logs besides RabbitMQ's own, which it rotates itself.
APPENDED_LOGS = ("epmd.log", "start.log")
# Settings of every broker of a fleet, wherever it runs.
LIMITS = Path(rabbitmq.__file__).with_name("limits.conf")


class LoadFailed(Exception):
    """The running node rejected the definitions; the text is its own."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """A node's ports on loopback; `epmd` is its port mapper's, `dist` Erlang's distribution's."""

    amqp: int
    dist: int
    epmd: int
    management: int

    @classmethod
    def free(cls) -> NodePorts:
        """Return free ports."""
        return cls(*(processes.free_port() for _ in range(4)))


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: its directory, its ports and its two processes."""

    directory: Path
    ports: NodePorts
    pid: int
    epmd_pid: int

    def uri(self, user: str, password: str, vhost: str = "/") -> str:
        """Return a user's URI of a virtual host."""
        return (
            f"amqp://{quote(user, safe='')}:{quote(password, safe='')}"
            f"@127.0.0.1:{self.ports.amqp}/{quote(vhost, safe='')}"
        )


def installed() -> bool:
    """Return whether RabbitMQ and Erlang's port mapper are installed."""
    return (PROGRAMS / "rabbitmq-server").exists() and shutil.which("epmd") is not None


def running(directory: Path) -> Node | None:
    """Return the directory's node, if it runs."""
    node = _load_state(directory.absolute())
    return node if node and processes.is_ours(node.pid, _mark(node.directory)) else None


def start(directory: Path, definitions: Definitions, *, management: bool = False) -> Node:
    """Return the directory's node with these definitions loaded; start it unless it runs.

    A restarted node keeps its ports, unless they are in use. `management` enables RabbitMQ's HTTP
    interface. Raises DidNotStart, LoadFailed.
    """
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with processes.file_lock(directory / "start.lock"):
        private_files.write(directory / "definitions.json", json.dumps(definitions))
        if node := running(directory):
            _load(node)
            return node
        return _start(directory, management=management)


def restart(directory: Path) -> Node:
    """Start the directory's node with its last definitions, and return it. Raises DidNotStart."""
    return start(directory, json.loads((directory / "definitions.json").read_text()))


def keep_running(directory: Path) -> None:
    """Restart the directory's node whenever it has died. Raises DidNotStart."""
    while True:
        if running(directory) is None:
            print("has died, restarting", file=sys.stderr, flush=True)
            try:
                restart(directory)
            except OSError as exc:
                print(f"not started: {exc}", file=sys.stderr, flush=True)
                time.sleep(DISK_S)
        time.sleep(CHECK_S)


def main() -> int:
    """Keep the node in `FLEET_STATE_DIR` running; return 1 once it does not start."""
    nonblocking_output.install()
    try:
        keep_running(Path(os.environ["FLEET_STATE_DIR"]))
    except processes.DidNotStart as exc:
        print(exc, file=sys.stderr, flush=True)
    return 1


def cpus() -> set[int]:
    """Return the CPUs that a node may use: half of those available.

    A host that floods the broker keeps all of the node's CPUs busy; the others stay free for the
    gateway beside it.
    """
    usable = sorted(os.sched_getaffinity(0))
    return set(usable[: max(1, len(usable) // 2)])


def stop(node: Node) -> None:
    """Stop the node, if it runs; its durable data stays in its directory."""
    mark = _mark(node.directory)
    processes.end(node.pid, mark)
    processes.end(node.epmd_pid, mark)


def kill(node: Node) -> None:
    """Kill the node, as a power failure would."""
    mark = _mark(node.directory)
    processes.kill(node.pid, mark)
    processes.kill(node.epmd_pid, mark)


def control(node: Node, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `rabbitmqctl` on a running node."""
    return subprocess.run(
        [PROGRAMS / "rabbitmqctl", *command],
        check=False,
        capture_output=True,
        text=True,
        env=_environment(node.directory, node.ports),
    )


def _start(directory: Path, *, management: bool) -> Node:
    previous = _load_state(directory)
    if previous:
        stop(previous)
    ports = previous.ports if previous and _are_free(previous.ports) else NodePorts.free()
    _write_files(directory, ports, management=management)
    env = _environment(directory, ports)
    with processes.defer_signals():
        epmd_pid = _spawn_epmd(directory, ports, env)
        node = Node(directory, ports, _spawn_server(directory, env), epmd_pid)
        _save_state(node)
    _wait_for(node)
    return node


def _spawn_epmd(directory: Path, ports: NodePorts, env: dict[str, str]) -> int:
    command = ["epmd", "-port", str(ports.epmd), "-address", "127.0.0.1"]
    pid = processes.spawn(command, env, directory / "log" / "epmd.log")
    # Without a port mapper the node would start one that nobody stops.
    processes.wait_until(lambda: processes.listens(ports.epmd), timeout_s=10.0)
    return pid


def _spawn_server(directory: Path, env: dict[str, str]) -> int:
    command = [str(PROGRAMS / "rabbitmq-server")]
    pid = processes.spawn(command, env, directory / "log" / "start.log")
    os.sched_setaffinity(pid, cpus())
    return pid


def _wait_for(node: Node) -> None:
    mark = _mark(node.directory)

    def settled() -> bool:
        return processes.listens(node.ports.amqp) or not processes.is_ours(node.pid, mark)

    in_time = processes.wait_until(settled, timeout_s=START_TIMEOUT_S)
    if not in_time or not processes.is_ours(node.pid, mark):
        stop(node)
        raise processes.DidNotStart(f"RabbitMQ did not start; see {node.directory / 'log'}")


def _load(node: Node) -> None:
    """Import the definitions file into a running node, which removes nothing."""
    # A node listens before its start is complete, and imports nothing until then.
    awaited = ("await_startup", "--timeout", str(round(START_TIMEOUT_S)))
    for command in (awaited, ("import_definitions", str(node.directory / "definitions.json"))):
        done = control(node, *command)
        if done.returncode:
            raise LoadFailed(done.stdout + done.stderr)


def _write_files(directory: Path, ports: NodePorts, *, management: bool) -> None:
    plugins = "[rabbitmq_management]." if management else "[]."
    private_files.write(directory / "enabled_plugins", plugins)
    private_files.write(directory / "env.conf", "")  # instead of the machine's own
    private_files.write(directory / "rabbitmq.conf", _configuration(directory, ports))
    cookie = directory / ".erlang.cookie"
    if not cookie.exists():
        private_files.write(cookie, secrets.token_hex(32), mode=0o400)


def _configuration(directory: Path, ports: NodePorts) -> str:
    return f"""\
listeners.tcp.local = 127.0.0.1:{ports.amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {ports.management}
load_definitions = {directory / "definitions.json"}
{LIMITS.read_text()}"""


def _environment(directory: Path, ports: NodePorts) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(directory),  # where Erlang looks for the cookie
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": str(directory / "log" / "erl_crash.dump"),
        "ERL_CRASH_DUMP_BYTES": str(processes.MAX_LOG_BYTES),
        "RABBITMQ_NODENAME": "fleet@localhost",
        "RABBITMQ_DIST_PORT": str(ports.dist),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1} "
            "+sbwt none +sbwtdcpu none +sbwtdio none "  # an idle node leaves the CPU to others
            # Words (of 8 bytes) at which an Erlang process is killed. RabbitMQ queues, without
            # limit, the methods that a connection sends faster than it handles them.
            "+hmax 16777216 +hmaxk true"
        ),
        # Makes the script exec the node instead of waiting for it: one pid.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _mark(directory: Path) -> str:
    return f"RABBITMQ_MNESIA_BASE={directory / 'data'}"


def _are_free(ports: NodePorts) -> bool:
    return all(processes.bindable(port) for port in asdict(ports).values())


def _save_state(node: Node) -> None:
    state = {"ports": asdict(node.ports), "pid": node.pid, "epmd_pid": node.epmd_pid}
    try:
        private_files.write(node.directory / "node.json", json.dumps(state))
    except OSError:
        stop(node)  # it could not be found again
        raise


def _load_state(directory: Path) -> Node | None:
    file = directory / "node.json"
    if not file.exists():
        return None
    state = json.loads(file.read_text())
    return Node(directory, NodePorts(**state["ports"]), state["pid"], state["epmd_pid"])


if __name__ == "__main__":
    sys.exit(main())
