"""`python -m deploy.local.keep_broker`: starts the fleet's private RabbitMQ node when it has died.

The node itself outlives this process; `FLEET_STATE_DIR` is its directory. Whoever runs the fleet
has started it before, and stops it afterwards.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from deploy.local import broker, output, processes

CHECK_S = 1.0
# Starting a node costs a core for seconds; a disk does not get room that fast.
DISK_S = 10.0


def main() -> int:
    """Look after the node until told to stop; return 1 when it does not start any more."""
    output.install()
    directory = Path(os.environ["FLEET_STATE_DIR"])
    while True:
        if broker.running(directory) is None:
            print("has died, started again", file=sys.stderr, flush=True)
            try:
                broker.start_again(directory)
            except processes.DidNotStart as exc:
                print(exc, file=sys.stderr, flush=True)
                return 1
            except OSError as exc:
                print(f"not started: {exc}", file=sys.stderr, flush=True)
                time.sleep(DISK_S)
        time.sleep(CHECK_S)


if __name__ == "__main__":
    sys.exit(main())
