"""Time zones are there on a machine that has none of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.support.daemons import ROOT

PROGRAM = """
from shared.contracts.policies import Schedule
from shared.policies.schedule import check_schedule
check_schedule(Schedule(cron="0 2 * * *", timezone="Australia/Lord_Howe"))
print("there")
"""


def test_zones_are_those_of_the_package_where_the_machine_has_none() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONTZPATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.stdout, ended.stderr) == ("there\n", "")
