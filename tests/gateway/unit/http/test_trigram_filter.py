from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.http.trigram_filter import SETS, TrigramFilter

LETTERS = st.text(alphabet="abc", max_size=12)


@given(blocks=st.lists(LETTERS, max_size=40), wanted=LETTERS)
def test_no_block_that_contains_a_text_is_left_out(blocks: list[str], wanted: str) -> None:
    index = TrigramFilter()
    for number, text in enumerate(blocks):
        index.add(number, text)

    containing = {number for number, text in enumerate(blocks) if wanted in text}

    assert containing <= set(index.candidates(wanted)) <= set(range(len(blocks)))


def test_a_search_is_for_few_of_many_blocks() -> None:
    index = TrigramFilter()
    for number in range(1000):
        index.add(number, f"web-{number:04} of customer {number * 7919 % 10007:05}")

    assert list(index.candidates("web-0417")) == [417]


def test_a_text_that_was_there_costs_a_look_and_hides_nothing() -> None:
    index = TrigramFilter()
    index.add(3, "former")
    index.add(3, "present")

    assert list(index.candidates("present")) == list(index.candidates("former")) == [3]


def test_whatever_is_written_no_more_sets_are_kept() -> None:
    index = TrigramFilter()
    index.add(0, "".join(map(chr, range(0x4E00, 0x9FFF))))

    assert len(index._blocks_with) == SETS
