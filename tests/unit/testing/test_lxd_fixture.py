from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local import lxd_api, lxd_daemon
from tests.support import lxd
from tests.support.lxd import IN_USE, pytest_runtest_setup


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """What was started; it answers from then on."""
    started: list[object] = []
    monkeypatch.setattr(lxd, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(lxd, "_flavour", lambda: lxd_daemon.LXD)
    monkeypatch.setattr(lxd_daemon, "start_system", started.append)
    monkeypatch.setattr(lxd_api, "answers", lambda _: bool(started))
    return started


def item(*fixtures: str, in_use: bool = True) -> pytest.Item:
    stash = {IN_USE: Path("/nowhere/unix.socket")} if in_use else {}
    return SimpleNamespace(session=SimpleNamespace(stash=stash), fixturenames=fixtures)


def test_a_daemon_that_has_died_fails_one_test_and_is_started_again(started: list[object]) -> None:
    with pytest.raises(pytest.fail.Exception, match="has died"):
        pytest_runtest_setup(item("lxd"))
    pytest_runtest_setup(item("lxd"))

    assert started == [lxd_daemon.LXD]


@pytest.mark.parametrize("of", [item(), item("broker"), item("lxd", in_use=False)])
def test_who_does_not_use_it_does_not_care(of: pytest.Item, started: list[object]) -> None:
    pytest_runtest_setup(of)

    assert not started
