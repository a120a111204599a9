"""Runs stub services as `make run` runs a fleet, over a daemon whose end is noted as well."""

import os
import signal
import sys
from contextlib import ExitStack

from deploy.local import nonblocking_output
from deploy.local.services import Service
from deploy.local.supervisor import Supervisor

STUB = "tests.deploy.integration.stub_service"


def main() -> int:
    nonblocking_output.install()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as started:
        started.callback(note_daemon)
        listed = [service(name) for name in ("one", "two")]
        stop_timeout_s = float(sys.argv[1])
        return Supervisor(sys.stdout, stop_timeout_s=stop_timeout_s, restart_s=0.1).run(listed)


def service(name: str) -> Service:
    # The second one is as its caller says; the first one ends when it is told to, and only then.
    of_the_second = () if name == "two" else ("STUBBORN", "EXIT_CODE")
    own = {key: value for key, value in os.environ.items() if key not in of_the_second}
    return Service(name, STUB, own | {"NAME": name})


def note_daemon() -> None:
    with open(os.environ["NOTES"], "a") as file:  # noqa: PTH123
        file.write("daemon stopped\n")


sys.exit(main())
