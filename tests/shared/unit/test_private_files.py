from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.platform import private_files


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow beyond four bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_its_owners_alone_whatever_it_was(tmp_path: Path) -> None:
    file = tmp_path / "below" / "secret"
    private_files.write(file, "old")
    file.chmod(0o644)

    private_files.write(file, "new")

    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600


def test_another_mode_can_be_asked_for(tmp_path: Path) -> None:
    private_files.write(tmp_path / "cookie", "x", mode=0o400)

    assert (tmp_path / "cookie").stat().st_mode & 0o777 == 0o400


@pytest.mark.attack
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    private_files.write(file, '{"pid": 1}')

    with no_room(), pytest.raises(OSError, match=f"File too large: '{file}'"):
        private_files.write(file, '{"pid": 2}')

    assert file.read_text() == '{"pid": 1}'
    assert list(tmp_path.iterdir()) == [file]
