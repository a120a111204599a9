"""Fixtures for the worker's unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.journal.store import SqlJournal
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.journal import FakeJournal
from tests.support.lxd_worker.wire import Omissions


@pytest.fixture
def bench() -> Bench:
    """A worker among fakes."""
    return Bench()


@pytest.fixture(params=["fake", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """The real journal, and the fake that other tests use."""
    made = (
        FakeJournal()
        if request.param == "fake"
        else SqlJournal(tmp_path / "journal.db", _here, Omissions())
    )
    yield made
    made.close()


def _here(work: Callable[[], Any]) -> Any:
    """Run the journal's work in this thread: the locks of a test are no green ones."""
    return work()
