from __future__ import annotations

from pathlib import Path

import pytest

from shared.platform.run.epoch import next_epoch


@pytest.mark.parametrize(
    ("clock", "epochs"),
    [
        pytest.param([1000.9, 2000.0, 3000.0], [1000, 2000, 3000], id="the time of the start"),
        pytest.param([1000.0, 1000.2, 1000.4], [1000, 1001, 1002], id="starts within a second"),
        pytest.param([1000.0, 900.0, 0.0], [1000, 1001, 1002], id="a clock that goes back"),
    ],
)
def test_the_epoch_grows_at_every_start(
    tmp_path: Path, clock: list[float], epochs: list[int]
) -> None:
    file = tmp_path / "worker.epoch"
    times = iter(clock)

    assert [next_epoch(file, lambda: next(times)) for _ in clock] == epochs


def test_the_epoch_grows_even_if_its_file_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "worker.epoch"
    before = next_epoch(file, lambda: 1000.0)
    file.unlink()

    assert next_epoch(file, lambda: 1060.0) > before


@pytest.mark.parametrize("damaged", [b"", b"\0" * 10, b"\xff", b"9" * 5000, b"9" * 19, b"-5", b"x"])
def test_a_damaged_file_is_as_good_as_a_lost_one(tmp_path: Path, damaged: bytes) -> None:
    file = tmp_path / "worker.epoch"
    file.write_bytes(damaged)

    assert [next_epoch(file, lambda: 1000.0), next_epoch(file, lambda: 1000.0)] == [1000, 1001]
