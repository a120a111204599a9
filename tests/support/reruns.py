"""Fail a session in which a test passed only when it was tried again: it is a bug all the same.

pytest-rerunfailures has `--fail-on-flaky` for this, which sees nothing under pytest-xdist: there
the tests run in other processes than the one whose exit status counts.
"""

from __future__ import annotations

import pytest


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let the session fail where it would have passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter is not None and passed_late(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count them; pytest lists them itself."""
    if late := passed_late(terminalreporter):
        text = f"RERUN: {len(late)} passed only the second time, so this run fails"
        terminalreporter.write_line(text, red=True)


def passed_late(reporter: pytest.TerminalReporter) -> set[str]:
    """Return the tests that failed and, tried again, did not."""
    of = {
        outcome: {report.nodeid for report in reporter.stats.get(outcome, ())}
        for outcome in ("rerun", "failed", "error")
    }
    return of["rerun"] - of["failed"] - of["error"]
