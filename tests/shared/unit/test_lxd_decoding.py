"""Lists of LXD's of which one entry, or everything, cannot be decoded."""

from __future__ import annotations

import json

import pytest

from shared.lxd.decoding import entries, readable_entries
from shared.lxd.errors import UnreadableAnswer
from shared.lxd.models import NetworkAddress


def test_what_is_no_list_is_no_answer() -> None:
    with pytest.raises(UnreadableAnswer, match="Expected `array`"):
        entries(b"{}")


def test_entries_of_another_kind_are_left_out() -> None:
    answer = json.dumps([{"family": "inet", "address": "a", "scope": "s"}, {"family": 5}, None])

    assert readable_entries(answer.encode(), NetworkAddress) == [NetworkAddress("inet", "a", "s")]


@pytest.mark.parametrize("answer", [b"NaN", b"Infinity"])
def test_what_is_no_list_by_any_standard_is_no_answer_either(answer: bytes) -> None:
    with pytest.raises(UnreadableAnswer, match="JSON is malformed"):
        entries(answer)
