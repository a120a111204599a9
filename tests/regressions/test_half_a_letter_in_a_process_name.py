"""A process whose name ended in half a UTF-8 letter stopped all samples of its host."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.metrics.sampler.kernel import process_age_s

pytestmark = pytest.mark.attack

NAMED_WITH_HALF_A_LETTER = """
import pathlib, sys, time
pathlib.Path("/proc/self/comm").write_bytes(b"customer) \\xc3")
print("named", flush=True)
time.sleep(60)
"""


def test_the_age_of_a_process_with_half_a_letter_in_its_name_is_read() -> None:
    command = [sys.executable, "-c", NAMED_WITH_HALF_A_LETTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        try:
            age_s = process_age_s(process.pid)
        finally:
            process.kill()

    assert age_s is not None
    assert 0 <= age_s < 30
