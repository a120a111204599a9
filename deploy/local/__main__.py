"""Run a command of the Makefile in the project's environment: `python -m deploy.local COMMAND`."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from deploy.local import broker, debian_packages, demo, install_packages, nonblocking_output, run
from deploy.local.lxd_api import ERRORS
from deploy.local.processes import DidNotStart
from deploy.local.supervisor import STOP_SIGNALS, ignore_signals
from shared.platform.settings import SettingsError

EXPECTED = (
    install_packages.RequirementsNotMet,
    run.CannotStart,
    DidNotStart,
    broker.LoadFailed,
    *ERRORS,
    SettingsError,
)

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def main() -> int:
    """Run the command; print expected errors in a line."""
    nonblocking_output.install()
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
    """Install the requirements of tests with real daemons."""
    return _prepare(debian_packages.FOR_TESTS, env)


def prepare_browser(env: Mapping[str, str]) -> int:
    """Install the requirements of browser tests, which are large and not in every distribution."""
    return _prepare((debian_packages.BROWSER,), env)


def _prepare(needs: Sequence[install_packages.Requirement], env: Mapping[str, str]) -> int:
    """Install the requirements of tests; if that is impossible, fail in CI only."""
    try:
        install_packages.install_missing(needs, env)
    except install_packages.RequirementsNotMet as exc:
        print(f"{exc}\nTests that need them will be skipped.", file=sys.stderr)
        return 1 if env.get("CI") == "true" else 0
    return 0


def prepare_compose_test(env: Mapping[str, str]) -> int:
    """Install the requirements of the container test, all of which it needs."""
    install_packages.install_missing(debian_packages.FOR_COMPOSE_TEST, env)
    return 0


def _stop(number: int, _frame: object) -> None:
    """Exit through every `finally`, which stops what was started; ignore further signals."""
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
