"""What outlives a long collection is not visited again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from services.gateway.gc_pauses import short_pauses


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


async def test_what_outlives_a_long_collection_is_frozen_until_the_end() -> None:
    with short_pauses(long_s=0.0):
        gc.collect()
        within = gc.get_freeze_count()
        await asyncio.sleep(0)
        after = gc.get_freeze_count()

    assert within == 0
    assert after > 0
    assert gc.get_freeze_count() == 0
    assert not any("short_pauses" in repr(each) for each in gc.callbacks)


async def test_after_short_collections_nothing_is_frozen() -> None:
    with short_pauses(long_s=3600):
        gc.collect()
        gc.collect(1)
        await asyncio.sleep(0)
        frozen = gc.get_freeze_count()

    assert frozen == 0


async def test_a_cycle_made_after_the_freeze_is_collected() -> None:
    class Node:
        pass

    with short_pauses(long_s=0.0):
        gc.collect()
        await asyncio.sleep(0)
        node = Node()
        node.itself = node  # type: ignore[attr-defined]
        del node

        found = gc.collect()

    assert found >= 1
