"""What the kernel says of this machine, held against what it must be."""

from __future__ import annotations

import os
import subprocess
import time

from services.metrics.sampler.kernel import process_age_s, read_host


def test_the_host_is_read() -> None:
    host = read_host()

    assert host.cpus == os.cpu_count()
    assert 0 < host.memory_used < host.memory_total
    assert 0 < host.root_space.used < host.root_space.total
    assert 0 < host.cpu_busy_s < host.cpu_total_s


def test_cpu_seconds_pass_on_every_core() -> None:
    before = read_host()
    began = time.monotonic()

    time.sleep(0.5)

    passed_s = read_host().cpu_total_s - before.cpu_total_s
    expected_s = (time.monotonic() - began) * before.cpus
    assert abs(passed_s - expected_s) < 0.3 * expected_s


def test_the_age_of_a_process_is_the_time_since_its_start() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        began = time.monotonic()
        time.sleep(0.3)

        age_s = process_age_s(process.pid)

        elapsed_s = time.monotonic() - began
        process.kill()
    assert age_s is not None
    assert 0.25 < age_s < elapsed_s + 0.1


def test_a_process_that_is_gone_has_no_age() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()

    assert process_age_s(process.pid) is None
