import subprocess
import sys
from pathlib import Path

import pytest

from shared.testing.daemons import ROOT

FLAKY = """
import pathlib

def test_that_passes_only_the_second_time():
    tried = pathlib.Path("tried")
    if not tried.exists():
        tried.touch()
        raise AssertionError("the first time")
"""
PLUGINS = (
    "shared.testing.reruns",
    "pytest_rerunfailures",
    "xdist",
    "no:cacheprovider",
    "no:warnings",
)


def run(folder: Path, source: str, processes: int) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    plugins = [f"-p{plugin}" for plugin in PLUGINS]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--reruns=1", f"--numprocesses={processes}"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("processes", [0, 2])
def test_a_test_that_passes_the_second_time_fails_the_run(tmp_path: Path, processes: int) -> None:
    ended = run(tmp_path, FLAKY, processes)

    assert "1 passed, 1 rerun" in ended.stdout
    assert "RERUN: 1 passed only the second time, so this run fails" in ended.stdout
    assert ended.returncode == 1


def test_one_that_fails_both_times_is_a_failure_and_nothing_else(tmp_path: Path) -> None:
    ended = run(tmp_path, "def test_that_fails(): assert False", 0)

    assert "1 failed, 1 rerun" in ended.stdout
    assert "RERUN:" not in ended.stdout
    assert ended.returncode == 1


def test_a_run_without_a_second_try_passes(tmp_path: Path) -> None:
    ended = run(tmp_path, "def test_that_passes(): pass", 0)

    assert "RERUN:" not in ended.stdout
    assert ended.returncode == 0
