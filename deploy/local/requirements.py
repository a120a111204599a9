"""What each command needs from the distribution."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local import broker, busybox_image, lxd_daemon
from deploy.local.install_packages import Need

# What LXD and Incus only recommend, but need for a bridge with addresses.
_NETWORK = ("apparmor", "dnsmasq-base", "iproute2", "iptables", "nftables")
_DAEMON = (("incus-base", *_NETWORK), ("incus", *_NETWORK), ("lxd", *_NETWORK))

BROKER = Need(
    "a message broker, RabbitMQ",
    broker.installed,
    (("rabbitmq-server",),),
    idle_service="rabbitmq-server",
)
LXD = Need("LXD or Incus", lambda: bool(lxd_daemon.found() or lxd_daemon.installed()), _DAEMON)
LXD_PROGRAM = Need(
    "LXD or Incus, for a daemon of its own", lambda: lxd_daemon.installed() is not None, _DAEMON
)
BUSYBOX = Need(
    "a static busybox, to make an image of", busybox_image.BUSYBOX.exists, (("busybox-static",),)
)
CURL = Need(
    "curl, to try the API's examples", lambda: shutil.which("curl") is not None, (("curl",),)
)

PROMETHEUS = Need(
    "Prometheus, to read the metrics",
    lambda: shutil.which("promtool") is not None,
    (("prometheus",),),
    idle_service="prometheus",
)
NGINX = Need(
    "nginx, to try what is said of reverse proxies",
    lambda: bool(shutil.which("nginx") or Path("/usr/sbin/nginx").exists()),
    (("nginx",),),
    idle_service="nginx",
)
SYSTEMD_ANALYZE = Need(
    "systemd-analyze, to judge the units",
    lambda: shutil.which("systemd-analyze") is not None,
    (("systemd",),),
)


def _has_compose() -> bool:
    """Tell whether there is docker-compose 1, a program, or Compose 2, a plugin of `docker`."""
    return (
        bool(shutil.which("docker-compose"))
        or not subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    )


POSTGRESQL = Need(
    "PostgreSQL, the other database", Path("/usr/lib/postgresql").exists, (("postgresql",),)
)

DOCKER = Need(
    "Docker with Compose",
    lambda: bool(shutil.which("docker") and shutil.which("dockerd") and _has_compose()),
    (("docker.io", "docker-cli", "docker-compose"), ("docker.io", "docker-compose")),
    idle_service="docker",
)
DEBOOTSTRAP = Need(
    "debootstrap, to make base images of",
    lambda: shutil.which("debootstrap") is not None,
    (("debootstrap",),),
)
BROWSER = Need(
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
    NGINX,
    POSTGRESQL,
    PROMETHEUS,
    SYSTEMD_ANALYZE,
)


def for_run(env: Mapping[str, str]) -> list[Need]:
    """Return what `make run` needs; what the environment names already is not among it."""
    named = {
        BROKER: env.get("FLEET_AMQP_URI") or env.get("FLEET_AMQP_URI_FILE"),
        LXD: env.get("FLEET_LXD_SOCKET"),
    }
    return [need for need, place in named.items() if not place]


def for_demo(env: Mapping[str, str]) -> list[Need]:
    """Return what `make demo` needs: a broker, a daemon to start, and what its image is made of."""
    return [*(need for need in for_run(env) if need is not LXD), LXD_PROGRAM, BUSYBOX]
