"""Which block devices are real disks, in a tree as `/sys` lays it out."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.metrics.sampler.disks import RealDisks


@pytest.fixture
def disks(tmp_path: Path) -> RealDisks:
    """A disk, a partition of it, an encrypted volume on that, a loop, a swap in memory."""
    for number, name, stands_on in [
        ("8:0", "pci0/sda", []),
        ("8:1", "pci0/sda/sda1", []),
        ("252:0", "virtual/block/dm-0", ["sda1"]),
        ("7:0", "virtual/block/loop0", []),
        ("253:0", "virtual/block/zram0", []),
    ]:
        device = tmp_path / "devices" / name
        (device / "slaves").mkdir(parents=True)
        for below in stands_on:
            (device / "slaves" / below).touch()
        link = tmp_path / "dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(device)
    return RealDisks(tmp_path)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("8:0", "sda"),
        ("8:1", "sda1"),
        ("252:0", None),
        ("7:0", None),
        ("253:0", None),
        ("999:0", "999:0"),  # not in the tree
    ],
)
def test_what_stands_on_a_disk_or_lives_in_memory_is_none(
    disks: RealDisks, device: str, name: str | None
) -> None:
    assert disks.name(device) == name
