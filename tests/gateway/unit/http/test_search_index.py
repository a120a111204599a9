from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.views import InstanceView
from services.gateway.http.search_index import BLOCK, SLICE, SearchIndex
from tests.support.gateway import FakeFleet
from tests.support.views import a_view


class Texts:
    """Counts the texts that are made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, view: InstanceView) -> str:
        self.made += 1
        return f"{view.instance.name} {view.instance.description}"


def described(name: str, description: str) -> InstanceView:
    return a_view(name, description=description)


def names(found: list[InstanceView]) -> list[str]:
    return [view.instance.name for view in found]


async def test_what_mentions_a_text_is_found_whatever_its_case_in_order() -> None:
    fleet = FakeFleet(known_instances=[described("b", "Shop"), described("a", "shop"), a_view()])
    index = SearchIndex(fleet, Texts(), ErrorBoundary())

    await index.prepare()

    assert names(index.search("SHOP")) == ["a", "b"]


async def test_a_change_makes_the_text_of_what_changed_only() -> None:
    kept, goes, changes = (described(name, "shop") for name in ("kept", "goes", "changes"))
    fleet = FakeFleet(known_instances=[kept, goes, changes])
    texts = Texts()
    index = SearchIndex(fleet, texts, ErrorBoundary())
    await index.prepare()

    fleet.change(instances=[kept, described("changes", "lab"), described("new", "shop")])

    assert names(index.search("shop")) == ["kept", "new"]
    assert texts.made == 3 + 2


async def test_others_are_served_while_the_texts_of_a_large_fleet_are_made() -> None:
    fleet = FakeFleet(known_instances=[described(f"i{n}", "shop") for n in range(2 * SLICE)])
    texts = Texts()
    index = SearchIndex(fleet, texts, ErrorBoundary())

    preparing = asyncio.create_task(index.prepare())
    await asyncio.sleep(0)
    made = texts.made
    fleet.change(instances=[described("new", "lab")])
    await preparing

    assert made == SLICE
    assert (names(index.search("lab")), index.search("shop")) == (["new"], [])


async def test_nobody_searches_in_half_an_index() -> None:
    fleet = FakeFleet(known_instances=[described(f"i{n}", "shop") for n in range(2 * SLICE)])
    index = SearchIndex(fleet, Texts(), ErrorBoundary())

    first = asyncio.create_task(index.prepare())
    await asyncio.sleep(0)
    await index.prepare()

    assert len(index.search("shop")) == 2 * SLICE
    await first


async def test_what_a_caller_who_gave_up_has_left_is_done_by_the_next() -> None:
    fleet = FakeFleet(known_instances=[described(f"i{n}", "shop") for n in range(3 * SLICE)])
    texts = Texts()
    index = SearchIndex(fleet, texts, ErrorBoundary())

    first = asyncio.create_task(index.prepare())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await index.prepare()

    assert len(index.search("shop")) == texts.made == 3 * SLICE


async def test_what_comes_and_goes_in_large_numbers_is_found_as_long_as_it_is_there() -> None:
    def fleet_of(numbers: Iterable[int]) -> list[InstanceView]:
        return [described(f"i{n}", f"number {n:03}") for n in numbers]

    fleet = FakeFleet(known_instances=fleet_of(range(5 * BLOCK)))
    index = SearchIndex(fleet, Texts(), ErrorBoundary())
    await index.prepare()

    fleet.change(instances=fleet_of(range(0, 5 * BLOCK, 2)))
    fleet.change(instances=fleet_of(range(4 * BLOCK)))

    assert names(index.search("number 077")) == []
    assert names(index.search("number 063")) == ["i63"]
    assert len(index.search("number")) == 4 * BLOCK


@pytest.mark.parametrize(
    "wanted", ["", "s", "sh", "sho", "\u5546\u5e97", "\u5546\u5e97\u4e00", "no"]
)
async def test_a_text_of_any_length_and_script_is_found(wanted: str) -> None:
    texts = ["shop", "\u5546\u5e97\u4e00\u53f7", "lab"]
    fleet = FakeFleet(known_instances=[described(f"i{n}", text) for n, text in enumerate(texts)])
    index = SearchIndex(fleet, Texts(), ErrorBoundary())
    await index.prepare()

    expected = [f"i{n}" for n, text in enumerate(texts) if wanted in f"i{n} {text}"]
    assert names(index.search(wanted)) == expected
