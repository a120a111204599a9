"""What each command requires from the distribution."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local import broker, busybox_image, lxd_daemon
from deploy.local.install_packages import Requirement

# Only recommended by the packages of LXD and Incus, but needed for a bridge with addresses.
_NETWORK = ("apparmor", "dnsmasq-base", "iproute2", "iptables", "nftables")
_DAEMON = (("incus-base", *_NETWORK), ("incus", *_NETWORK), ("lxd", *_NETWORK))

BROKER = Requirement(
    "a message broker, RabbitMQ",
    broker.installed,
    (("rabbitmq-server",),),
    idle_service="rabbitmq-server",
)
LXD = Requirement(
    "LXD or Incus", lambda: bool(lxd_daemon.find_socket() or lxd_daemon.installed()), _DAEMON
)
LXD_PROGRAM = Requirement(
    "LXD or Incus, for a daemon of its own", lambda: lxd_daemon.installed() is not None, _DAEMON
)
BUSYBOX = Requirement(
    "a static busybox, to build an image", busybox_image.BUSYBOX.exists, (("busybox-static",),)
)
CURL = Requirement(
    "curl, to try the API's examples", lambda: shutil.which("curl") is not None, (("curl",),)
)

JQ = Requirement(
    "jq, to try the API's examples", lambda: shutil.which("jq") is not None, (("jq",),)
)

PROMETHEUS = Requirement(
    "Prometheus, to read the metrics",
    lambda: shutil.which("promtool") is not None,
    (("prometheus",),),
    idle_service="prometheus",
)
NGINX = Requirement(
    "nginx, to test the documented reverse proxy",
    lambda: bool(shutil.which("nginx") or Path("/usr/sbin/nginx").exists()),
    (("nginx",),),
    idle_service="nginx",
)
SYSTEMD_ANALYZE = Requirement(
    "systemd-analyze, to check the units",
    lambda: shutil.which("systemd-analyze") is not None,
    (("systemd",),),
)


def _has_compose() -> bool:
    """Return whether there is docker-compose 1, a program, or Compose 2, a plugin of `docker`."""
    return (
        bool(shutil.which("docker-compose"))
        or not subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    )


POSTGRESQL = Requirement(
    "PostgreSQL, the other database", Path("/usr/lib/postgresql").exists, (("postgresql",),)
)

DOCKER = Requirement(
    "Docker with Compose",
    lambda: bool(shutil.which("docker") and shutil.which("dockerd") and _has_compose()),
    (("docker.io", "docker-cli", "docker-compose"), ("docker.io", "docker-compose")),
    idle_service="docker",
)
DEBOOTSTRAP = Requirement(
    "debootstrap, to build base images",
    lambda: shutil.which("debootstrap") is not None,
    (("debootstrap",),),
)
BROWSER = Requirement(
    "Chromium, for the tests in a browser",
    lambda: shutil.which("chromium") is not None,
    (("chromium",),),
)

FOR_COMPOSE_TEST = (LXD_PROGRAM, BUSYBOX, DOCKER, DEBOOTSTRAP)
FOR_TESTS = (
    BROKER,
    LXD_PROGRAM,
    BUSYBOX,
    CURL,
    JQ,
    NGINX,
    POSTGRESQL,
    PROMETHEUS,
    SYSTEMD_ANALYZE,
)


def for_run(env: Mapping[str, str]) -> list[Requirement]:
    """Return what `make run` requires, without what the environment provides."""
    provided = {
        BROKER: env.get("FLEET_AMQP_URI") or env.get("FLEET_AMQP_URI_FILE"),
        LXD: env.get("FLEET_LXD_SOCKET"),
    }
    return [requirement for requirement, address in provided.items() if not address]


def for_demo(env: Mapping[str, str]) -> list[Requirement]:
    """Return what `make demo` requires: a broker, a daemon to start, and busybox for its image."""
    return [*(each for each in for_run(env) if each is not LXD), LXD_PROGRAM, BUSYBOX]
