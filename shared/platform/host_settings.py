"""Settings that all services on an LXD host share: the host's id and the daemon's socket."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

from shared.contracts.errors import InvalidInput
from shared.platform.bus.topology import validate_host
from shared.platform.settings import EnvReader

# Debian's LXD, the snap's LXD, Incus.
LXD_SOCKETS = (
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
)


def host_id(reader: EnvReader) -> str:
    """Return `FLEET_HOST`, else the machine's name with `-` for each dot."""
    host = reader.text("FLEET_HOST", platform.node().replace(".", "-"))
    try:
        return validate_host(host)
    except InvalidInput as exc:
        reader.complain(f"FLEET_HOST is {host!r}; it takes {exc.rule}")
        return host


def lxd_socket(reader: EnvReader, env: Mapping[str, str]) -> str:
    """Return `FLEET_LXD_SOCKET`, else the one in `LXD_DIR`, else the first that exists.

    If none exists yet, return the first: LXD may start later.
    """
    if directory := env.get("LXD_DIR"):
        return reader.text("FLEET_LXD_SOCKET", f"{directory}/unix.socket")
    existing = [path for path in LXD_SOCKETS if Path(path).exists()]
    return reader.text("FLEET_LXD_SOCKET", (existing or LXD_SOCKETS)[0])
