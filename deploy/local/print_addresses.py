"""Prints the fleet's address once it answers: `python -m deploy.local.print_addresses URL`."""

from __future__ import annotations

import sys
import urllib.request

from deploy.local import output
from deploy.local.processes import wait_until

PATIENCE_S = 120.0


def main() -> None:
    """Wait for the gateway; say where it is, or that it does not answer."""
    output.install()
    address = sys.argv[1]
    if wait_until(lambda: answers(address), timeout_s=PATIENCE_S, interval_s=0.2):
        print(f"\n  The fleet is at {address}   (Ctrl-C stops it)\n", flush=True)
    else:
        print(f"\n  {address} does not answer yet; see the lines above\n", flush=True)


def answers(address: str) -> bool:
    """Tell whether a gateway says that it lives."""
    try:
        with urllib.request.urlopen(f"{address}/livez", timeout=2):  # noqa: S310 - our own address
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
