"""Whatever a value is, what is made of it fits the bounds that are written beside it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from shared.contracts.codec import decode, encode
from shared.contracts.sanitizer import (
    Unfit,
    fit,
    fit_message,
    is_readable,
    parse,
    share_out,
    shorten,
)

Short = Annotated[str, Meta(max_length=4)]
Few = Annotated[int, Meta(ge=0, le=9)]


class Colour(StrEnum):
    RED = "red"


class Part(Struct, frozen=True):
    word: Short
    number: Few = 0


class Whole(Struct, frozen=True, rename={"kind": "type"}):
    name: Annotated[str, Meta(pattern=r"^[a-z]{1,4}\Z", max_length=4)]
    text: Short = ""
    kind: Literal["a", "b"] = "a"
    colour: Colour | None = None
    number: Few | None = None
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    yes: bool = False
    parts: Annotated[tuple[Part, ...], Meta(max_length=2)] = ()
    words: Annotated[list[Short], Meta(max_length=2)] = []
    texts: Annotated[dict[Short, Short], Meta(max_length=2)] = {}
    part: Part | None = None
    anything: dict[str, Any] | None = None


class Crew(Struct, frozen=True):
    names: Annotated[list[Short], Meta(min_length=1)]


@pytest.mark.parametrize(
    ("field", "value", "made", "place"),
    [
        ("text", "abcdef", "abcd", "text"),
        ("text", "a\x00b", "a\ufffdb", "text"),
        ("text", "a\ud800", "a\ufffd", "text"),
        ("text", 5, "", "text"),
        ("text", None, "", "text"),
        ("type", "c", "a", "kind"),
        ("type", ["a"], "a", "kind"),
        ("colour", "red", Colour.RED, None),
        ("colour", "blue", None, "colour"),
        ("number", 10**400, None, "number"),
        ("number", -1, None, "number"),
        ("number", True, None, "number"),
        ("number", 9, 9, None),
        ("share", float("nan"), 0.5, "share"),
        ("share", float("inf"), 0.5, "share"),
        ("share", 1, 1, None),
        ("share", True, 0.5, "share"),
        ("yes", 1, False, "yes"),
        ("parts", [{"word": "abcde"}, {"word": "b"}, {}], (Part("b"),), "parts.0"),
        ("parts", [{"word": "a"}] * 3, (Part("a"),) * 2, "parts"),
        ("parts", [{"word": "a", "number": 10}], (Part("a"),), "parts.0.number"),
        ("parts", {"word": "a"}, (), "parts"),
        ("words", ["abcde", "b"], ["b"], "words.0"),
        ("texts", {"abcde": "x", "b": "abcdef"}, {"b": "abcd"}, "texts.abcde"),
        ("texts", {"a": 1, "b": "", "c": ""}, {"b": "", "c": ""}, "texts.a"),
        ("texts", {"a": "", "b": "", "c": ""}, {"a": "", "b": ""}, "texts"),
        ("part", {"word": "abcde"}, Part("abcd"), "part.word"),
        ("part", {"number": 1}, None, "part"),
        ("anything", {"a": [1]}, {"a": [1]}, None),
    ],
)
def test_what_is_out_of_bounds_is_cut_or_left_out_and_told(
    field: str, value: object, made: object, place: str | None
) -> None:
    whole, left_out = fit(Whole, {"name": "web", field: value})

    assert getattr(whole, "kind" if field == "type" else field) == made
    assert place in left_out if place else left_out == ()
    assert decode(Whole, encode(whole)) == whole


@pytest.mark.parametrize("value", [{}, {"name": "UPPER"}, {"name": 5}, {"name": "abcde"}, [], None])
def test_nothing_is_made_without_what_it_cannot_be_without(value: object) -> None:
    with pytest.raises(Unfit):
        fit(Whole, value)


def test_of_a_list_that_must_not_be_empty_nothing_is_made_when_all_is_left_out() -> None:
    with pytest.raises(Unfit):
        fit(Crew, {"names": [5]})


def test_a_message_within_bounds_stays_the_same() -> None:
    message = Whole("web", "text")

    assert fit_message(message)[0] is message


def test_a_message_is_shortened_where_it_is_longest() -> None:
    message = Whole("web", "\x01" * 50, words=["a"], texts={"a": "x"})

    short, cut = shorten(message, len(encode(message)) - 100, ("text", "words", "texts"))

    assert cut == ("text",)
    assert len(short.text) == 33
    assert (short.words, short.texts) == (message.words, message.texts)


def test_a_message_that_is_short_enough_is_not_cut() -> None:
    message = Whole("web", "text")

    assert shorten(message, len(encode(message)), ("text",)) == (message, ())


def test_a_long_message_pays_for_the_room_that_all_share() -> None:
    short, long = Whole("a", "text"), Whole("b", "x" * 1000)
    most = 2 * len(encode(short)) + 10

    (first, nothing), (second, cut) = share_out([short, long], most, ("text",))

    assert (first, nothing, cut) == (short, (), ("text",))
    assert len(encode(first)) + len(encode(second)) <= most
    assert share_out([short], most, ("text",)) == [(short, ())]
    assert share_out([], 0, ("text",)) == []


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'["\\ud800", 1]', ["\ud800", 1]),
        (b'["\xff"]', ["\ufffd"]),
        (b"[" + b"9" * 5000 + b", 5]", [None, 5]),
        (b"[1e999]", [float("inf")]),
    ],
)
def test_json_is_read_that_no_strict_decoder_takes(body: bytes, value: object) -> None:
    assert parse(body) == value


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000])
def test_what_is_no_json_is_unfit(body: bytes) -> None:
    with pytest.raises(Unfit):
        parse(body)


# Halves of surrogate pairs among them.
TEXT = st.text(st.characters(exclude_categories=()), max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inside: st.lists(inside) | st.dictionaries(TEXT, inside),
    max_leaves=8,
)
FIELDS = [
    "text", "type", "colour", "number", "share", "yes",
    "parts", "words", "texts", "part",
]  # fmt: skip


@pytest.mark.attack
@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON),
    st.integers(min_value=0, max_value=400),
)
def test_whatever_a_message_was_made_of_it_can_be_read(
    values: dict[str, object], most: int
) -> None:
    whole, _ = fit(Whole, {"name": "web", **values})

    assert is_readable(whole)
    short, _ = shorten(whole, most, ("text", "parts", "words", "texts"))
    assert is_readable(short)
    assert len(encode(short)) <= max(most, 300)
