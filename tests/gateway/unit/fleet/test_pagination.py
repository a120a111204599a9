from __future__ import annotations

import pytest

from services.gateway.fleet.pagination import PageRequest, paginate, sort_key
from shared.contracts.errors import InvalidInput
from tests.support.views import a_view

LISTED = [a_view(name) for name in "abcde"]


def names(part: PageRequest, names_listed: str = "abcde") -> str:
    listed = [a_view(name) for name in names_listed]
    return "".join(each.instance.name for each in paginate(listed, part, sort_key).entries)


def test_pages_are_cut_by_their_number() -> None:
    assert [names(PageRequest(2, page)) for page in (1, 2, 3, 4)] == ["ab", "cd", "e", ""]


def test_cursors_lead_through_the_whole_list() -> None:
    seen, cursor = "", None
    while True:
        taken = paginate(LISTED, PageRequest(2, cursor=cursor), sort_key)
        seen += "".join(each.instance.name for each in taken.entries)
        cursor = taken.next_cursor
        if cursor is None:
            break

    assert seen == "abcde"


def test_a_cursor_stays_good_when_its_instance_is_gone() -> None:
    cursor = paginate(LISTED, PageRequest(2), sort_key).next_cursor

    assert names(PageRequest(2, cursor=cursor), "ade") == "de"


@pytest.mark.parametrize(("limit", "more"), [(4, True), (5, False), (6, False)])
def test_only_what_is_not_the_end_leads_on(limit: int, more: bool) -> None:
    assert bool(paginate(LISTED, PageRequest(limit), sort_key).next_cursor) is more


def test_a_part_behind_a_cursor_says_which_page_it_is() -> None:
    cursor = paginate(LISTED, PageRequest(2), sort_key).next_cursor

    assert paginate(LISTED, PageRequest(2, cursor=cursor), sort_key).page == 2


@pytest.mark.parametrize("cursor", ["", "x", "W10", "WzEsMiwzXQ", "WyJhIiwiYiJd", "\x00", "汉"])
def test_what_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        paginate(LISTED, PageRequest(2, cursor=cursor), sort_key)
