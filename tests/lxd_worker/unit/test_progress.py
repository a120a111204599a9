"""What LXD says of a creation, as one number."""

from __future__ import annotations

from typing import Any

import pytest

from services.lxd_worker.lxd.progress import progress_percent

UNPACKING = {
    "create_instance_from_image_unpack_progress": "Unpack: 40% (130.00MB/s)",
    "progress": {"percent": "40", "speed": "1", "stage": "create_instance_from_image_unpack"},
}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"container_progress": "Remapping container filesystem"}, None),
        (UNPACKING, 40),
        ({"download_progress": "rootfs: 30% (3.50MB/s)"}, 15),
        ({"download_progress": "metadata: 100% (1.00GB/s)"}, 50),
        ({"download_progress": "rootfs: 100% (3.50MB/s)"} | UNPACKING, 70),
        ({"progress": {"processed": "1000", "stage": "migrate"}}, None),
    ],
)
def test_fetching_and_unpacking_are_half_of_it_each_and_unpacking_alone_all_of_it(
    metadata: dict[str, Any], expected: int | None
) -> None:
    assert progress_percent(metadata) == expected
