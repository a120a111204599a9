"""`python -m deploy.local COMMAND`: what the Makefile calls once there is an environment."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from deploy.local import broker, demo, install_packages, output, requirements, run
from deploy.local.lxd_api import ERRORS
from deploy.local.processes import DidNotStart
from deploy.local.supervisor import STOP_SIGNALS, ignore_signals
from shared.platform.settings import SettingsError

EXPECTED = (
    install_packages.Missing,
    run.Refused,
    DidNotStart,
    broker.LoadFailed,
    *ERRORS,
    SettingsError,
)

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def main() -> int:
    """Run the command; complain in a line where it cannot be done."""
    output.install()
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup`
            signal.signal(number, _stop)
    try:
        return COMMANDS[sys.argv[1]](os.environ)
    except EXPECTED as exc:
        print(exc, file=sys.stderr)
        return 1
    except OSError as exc:
        if exc.errno not in FULL_DISK:
            raise
        print(exc, file=sys.stderr)
        return 1


def prepare_tests(env: Mapping[str, str]) -> int:
    """Install what tests on real daemons need."""
    return _prepare(requirements.FOR_TESTS, env)


def prepare_browser(env: Mapping[str, str]) -> int:
    """Install what tests in a browser need; it is large, and not every distribution has it."""
    return _prepare((requirements.BROWSER,), env)


def _prepare(wanted: Sequence[install_packages.Need], env: Mapping[str, str]) -> int:
    """Install what tests need; those that cannot have it are left out, but not in CI."""
    try:
        install_packages.provide(wanted, env)
    except install_packages.Missing as exc:
        print(f"{exc}\nTests that need it are left out.", file=sys.stderr)
        return 1 if env.get("CI") == "true" else 0
    return 0


def prepare_compose_test(env: Mapping[str, str]) -> int:
    """Install what the test of the containers needs; it cannot do without any of it."""
    install_packages.provide(requirements.FOR_COMPOSE_TEST, env)
    return 0


def _stop(number: int, _frame: object) -> None:
    """Leave by way of every `finally`, so that what was started is stopped; not to be hurried."""
    ignore_signals()
    sys.exit(128 + number)


COMMANDS: dict[str, Callable[[Mapping[str, str]], int]] = {
    "run": run.run,
    "demo": demo.demo,
    "demo-clean": demo.clean,
    "prepare-tests": prepare_tests,
    "prepare-compose-test": prepare_compose_test,
    "prepare-browser": prepare_browser,
}

if __name__ == "__main__":
    sys.exit(main())
