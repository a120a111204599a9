"""`python -m deploy.local.keep_running COMMAND...`: runs a service, and again when it dies.

It is to `make run` what `Restart=always` is to systemd; the supervisor itself stops everything as
soon as one process ends. A service that ends on purpose stays ended: told to stop, or because its
settings are wrong (exit code 2). One that dies again and again is given up, so that its complaint
is read. One that does not end in time when it is told to is killed. When this keeper itself is
killed, the kernel tells the service to end; when the supervisor is, it tells the keeper.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from deploy.local import output, processes

RESTART_S = 1.0
WRONG_SETTINGS = 2
# A service that lived at least this long has worked; its death counts as the first.
WORKED_S = 30.0
MOST_DEATHS = 5
# Longer than any service takes to end in order: 30 s, with calls in hand.
KILL_AFTER_S = 35


class Keeper:
    """Keeps one command running until it is told to stop."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        restart_s: float = RESTART_S,
        kill_after_s: float = KILL_AFTER_S,
    ) -> None:
        self._command = processes.until_parent_ends(command)
        self._restart_s = restart_s
        self._kill_after_s = kill_after_s
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Return the exit code of the command's last run."""
        deaths = 0
        while True:
            began = time.monotonic()
            code = self._run_once()
            if self._stopping or code in {0, WRONG_SETTINGS}:
                return code
            deaths = 1 if time.monotonic() - began > WORKED_S else deaths + 1
            if deaths == MOST_DEATHS:
                print(f"ended {MOST_DEATHS} times, given up", file=sys.stderr, flush=True)
                return code
            print(f"ended with {code}, started again", file=sys.stderr, flush=True)
            time.sleep(self._restart_s)

    def stop(self, *_: object) -> None:
        """Tell the command to end, and let it stay ended; it is killed if it does not."""
        self._stopping = True
        if self._child is not None:
            self._child.terminate()
            signal.setitimer(signal.ITIMER_REAL, self._kill_after_s)

    def kill(self, *_: object) -> None:
        """End the command at once."""
        if self._child is not None:
            self._child.kill()

    def _run_once(self) -> int:
        with subprocess.Popen(self._command) as self._child:
            if self._stopping:
                self.stop()
            code = self._child.wait()
        # As a shell tells it: ended by a signal.
        return 128 - code if code < 0 else code


def main() -> int:
    """Keep the command of the arguments running; return its exit code."""
    output.install()
    keeper = Keeper(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, keeper.stop)
    signal.signal(signal.SIGALRM, keeper.kill)
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main())
