"""The double as a process of its own: `python -m tests.lxd_double SOCKET`."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from tests.lxd_double.instances import CONTAINER, RUNNING, VIRTUAL_MACHINE, DoubledInstance
from tests.lxd_double.server import FINGERPRINT, LxdDouble


def main() -> None:
    """Serve running instances at the socket until told to end."""
    arguments = _arguments()
    with LxdDouble(arguments.socket, fingerprint=arguments.fingerprint) as lxd:
        lxd.add_all(_instances("c", CONTAINER, arguments.containers))
        lxd.add_all(_instances("v", VIRTUAL_MACHINE, arguments.virtual_machines))
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def _instances(prefix: str, kind: str, count: int) -> list[DoubledInstance]:
    return [
        DoubledInstance(f"{prefix}{number}", type=kind, status=RUNNING) for number in range(count)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--containers", type=int, default=0)
    parser.add_argument("--virtual-machines", type=int, default=0)
    parser.add_argument("--fingerprint", default=FINGERPRINT)
    return parser.parse_args()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
