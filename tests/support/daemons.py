"""What the fixtures on real daemons share: where they live, what a missing one means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]


def missing(reason: str) -> NoReturn:
    """Skip the test; in CI fail it, because there a silent gap would pass for success."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs this test: {reason}", pytrace=False)
    pytest.skip(reason)


def mark(items: list[pytest.Item], fixtures: set[str], name: str) -> None:
    """Give a marker to every test that uses one of the fixtures."""
    for item in items:
        if fixtures & set(getattr(item, "fixturenames", ())):
            item.add_marker(name)
