import os
import time
from collections.abc import Callable
from pathlib import Path

import eventlet
import pytest

from shared.platform.run.background_loop import touch_liveness_file

EVERY_S = 0.01
SEVERAL_S = 0.1


def grows_old(file: Path) -> None:
    os.utime(file, (0, 0))


def is_fresh(file: Path) -> bool:
    return time.time() - file.stat().st_mtime < 60


@pytest.mark.parametrize(("pause", "fresh"), [(eventlet.sleep, True), (time.sleep, False)])
def test_the_file_is_fresh_while_the_service_lives_and_grows_old_while_it_hangs(
    tmp_path: Path, pause: Callable[[float], None], fresh: bool
) -> None:
    file = tmp_path / "alive"

    with touch_liveness_file(file.parent, EVERY_S):
        eventlet.sleep(SEVERAL_S)
        grows_old(file)
        pause(SEVERAL_S)

        assert is_fresh(file) is fresh


def test_the_file_grows_old_when_the_service_ends(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    with touch_liveness_file(file.parent, EVERY_S):
        eventlet.sleep(SEVERAL_S)

    grows_old(file)
    eventlet.sleep(SEVERAL_S)

    assert not is_fresh(file)


def test_a_file_that_cannot_be_written_yet_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "state" / "alive"

    with touch_liveness_file(file.parent, EVERY_S):
        eventlet.sleep(SEVERAL_S)
        file.parent.mkdir()
        eventlet.sleep(SEVERAL_S)

    assert is_fresh(file)
