"""Make values fit the bounds that a message's annotations name, so that the two never drift apart.

LXD's answers, and what a guest or a user wrote there, are anybody's text. One value out of bounds
makes a whole message unreadable; so whoever writes a message cuts such a value, or leaves it out,
before it is sent. What is left out is unknown to the reader, never wrong:

* a text in a field, or beside a key, is cut; a NUL and half a surrogate pair become U+FFFD
* a number out of bounds, or a value of another type, becomes the field's default
* in a list, and as a key, everything is whole or left out; what is too many is left out at the end
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence, Sized
from functools import cache
from itertools import islice
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from shared.contracts.bounds import writable
from shared.contracts.codec import decode, encode
from shared.contracts.errors import UnreadableMessage

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_NUL_IN_JSON = b"\\u0000"
# No number that means anything has more; Python itself refuses to read thousands of digits.
_MOST_DIGITS = 32


class Unfit(Exception):
    """Nothing of a kind can be made of a value: what it cannot be without is missing or wrong."""


def fit(kind: type[T], value: object) -> tuple[T, tuple[str, ...]]:
    """Return plain JSON values as a message or a part of one, and the places of what is left out.

    A place is the dotted path of a field, a key or a number in a list. Raises Unfit.
    """
    fitting = _Fitting()
    made: T = fitting.make(_info(cast("Hashable", kind)), value, "", cut=True)
    return made, tuple(fitting.left_out)


def parse(body: bytes) -> object:
    """Return JSON as plain values, also such as no strict decoder takes; raise Unfit if it is none.

    What is no UTF-8 becomes U+FFFD, and a number of too many digits None.
    """
    try:
        return json.loads(body.decode(errors="replace"), parse_int=_integer)
    except (ValueError, RecursionError) as exc:
        raise Unfit(str(exc)) from exc


def fit_message(message: S) -> tuple[S, tuple[str, ...]]:
    """Return a message that its reader can decode, the same where it can already; see `fit`."""
    if is_readable(message):
        return message, ()
    return fit(type(message), msgspec.to_builtins(message))


def is_readable(message: msgspec.Struct) -> bool:
    """Whether all of a message is within bounds, and can be written."""
    try:
        body = encode(message)
        decode(type(message), body)
    except (UnreadableMessage, UnicodeEncodeError, OverflowError):
        return False
    return _NUL_IN_JSON not in body


def shorten(message: S, most: int, fields: Sequence[str]) -> tuple[S, tuple[str, ...]]:
    """Return a message in at most so many bytes of JSON, and which of these fields it cost.

    The largest field pays first, from its end. Where the others alone are more, it remains longer.
    """
    excess = _size(message) - most
    if excess <= 0:
        return message, ()
    size = {field: _size(getattr(message, field)) for field in fields}
    cuts: dict[str, Any] = {}
    for field in sorted(size, key=lambda field: size[field], reverse=True):
        if excess <= 0:
            break
        cuts[field] = beginning(getattr(message, field), size[field] - excess)
        excess -= size[field] - _size(cuts[field])
    return replace(message, **cuts), tuple(cuts)


def share_out(
    messages: Sequence[S], most: int, fields: Sequence[str]
) -> list[tuple[S, tuple[str, ...]]]:
    """Return messages that together have at most so many bytes; see `shorten`.

    Where they have more, each that is longer than its share is shortened to that, and no other.
    """
    if sum(map(_size, messages)) <= most:
        return [(message, ()) for message in messages]
    share = most // len(messages)
    return [shorten(message, share, fields) for message in messages]


def beginning(value: Any, most: int) -> Any:
    """Return as much of a text, a sequence or a mapping as has at most so many bytes of JSON."""
    fits, too_long = 0, len(value) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _size(_first(value, middle)) <= most:
            fits = middle
        else:
            too_long = middle
    return _first(value, fits)


class _Fitting:
    """One run over a value; `left_out` grows on the way."""

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self._makers: dict[type[inspect.Type], Callable[..., Any]] = {
            inspect.Metadata: self._unwrapped,
            inspect.UnionType: self._one_of,
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.ListType: self._sequence,
            inspect.VarTupleType: self._sequence,
            inspect.StrType: self._text,
        }

    def make(self, kind: inspect.Type, value: object, place: str, *, cut: bool) -> Any:
        """Return the value as this kind; `cut`: a text that is too long is cut, not unfit."""
        if maker := self._makers.get(type(kind)):
            return maker(kind, value, place, cut=cut)
        if not _is_fit(kind, value):
            raise Unfit(place)
        return kind.cls(value) if isinstance(kind, inspect.EnumType) else value

    def _unwrapped(self, kind: inspect.Metadata, value: object, place: str, *, cut: bool) -> Any:
        return self.make(kind.type, value, place, cut=cut)

    def _one_of(self, kind: inspect.UnionType, value: object, place: str, *, cut: bool) -> Any:
        for one in kind.types:
            so_far = len(self.left_out)
            try:
                return self.make(one, value, place, cut=cut)
            except Unfit:
                del self.left_out[so_far:]
        raise Unfit(place)

    def _struct(self, kind: inspect.StructType, value: object, place: str, *, cut: bool) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit(place)
        made = {}
        for field in kind.fields:
            if field.encode_name not in value:
                if field.required:
                    raise Unfit(_join(place, field.name))
                continue
            inside = _join(place, field.name)
            try:
                made[field.name] = self.make(field.type, value[field.encode_name], inside, cut=cut)
            except Unfit:
                if field.required:
                    raise
                self.left_out.append(inside)
        return kind.cls(**made)

    def _dict(
        self, kind: inspect.DictType, value: object, place: str, *, cut: bool
    ) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise Unfit(place)
        made: dict[Any, Any] = {}
        for key, one in value.items():
            inside = _join(place, key)
            if kind.max_length is not None and len(made) == kind.max_length:
                self.left_out.append(place)
                break
            try:
                fitting_key = self.make(kind.key_type, key, inside, cut=False)
                made[fitting_key] = self.make(kind.value_type, one, inside, cut=cut)
            except Unfit:
                self.left_out.append(inside)
        _check_least(kind.min_length, made, place)
        return made

    def _sequence(
        self,
        kind: inspect.ListType | inspect.VarTupleType,
        value: object,
        place: str,
        *,
        cut: bool,
    ) -> Any:
        """What is in a list is whole or left out, whether or not a text may be `cut`."""
        if not isinstance(value, (list, tuple)):
            raise Unfit(place)
        made: list[Any] = []
        for number, one in enumerate(value):
            if kind.max_length is not None and len(made) == kind.max_length:
                self.left_out.append(place)
                break
            inside = _join(place, number)
            try:
                made.append(self.make(kind.item_type, one, inside, cut=False))
            except Unfit:
                self.left_out.append(inside)
        _check_least(kind.min_length, made, place)
        return made if isinstance(kind, inspect.ListType) else tuple(made)

    def _text(self, kind: inspect.StrType, value: object, place: str, *, cut: bool) -> str:
        if not isinstance(value, str):
            raise Unfit(place)
        text = writable(value)
        if kind.max_length is not None and len(text) > kind.max_length:
            # A text of a form would be another one, or none, when it is cut.
            if not cut or kind.pattern is not None:
                raise Unfit(place)
            text = text[: kind.max_length]
        if kind.pattern is not None and not re.search(kind.pattern, text):
            raise Unfit(place)
        if text != value:
            self.left_out.append(place)
        return text


def _is_fit(kind: inspect.Type, value: object) -> bool:
    """Whether a value that cannot be cut is of a kind and within its bounds."""
    if isinstance(value, bool):
        return isinstance(kind, (inspect.BoolType, inspect.AnyType))
    match kind:
        case inspect.IntType():
            return isinstance(value, int) and _within(kind, value)
        case inspect.FloatType():
            return isinstance(value, (int, float)) and _within(kind, value)
        case inspect.EnumType():
            return value in [one.value for one in kind.cls]
        case inspect.LiteralType():
            return value in kind.values
        case inspect.NoneType():
            return value is None
    return isinstance(kind, inspect.AnyType)


def _within(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    least = -math.inf if kind.ge is None else kind.ge
    most = math.inf if kind.le is None else kind.le
    # No comparison is true of a NaN; an infinite value is no JSON.
    return least <= value <= most and value not in (math.inf, -math.inf)


def _check_least(least: int | None, made: Sized, place: str) -> None:
    if len(made) < (least or 0):
        raise Unfit(place)


def _first(value: Any, count: int) -> Any:
    return dict(islice(value.items(), count)) if isinstance(value, dict) else value[:count]


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _join(place: str, inside: object) -> str:
    return f"{place}.{inside}" if place else str(inside)


@cache
def _info(kind: Hashable) -> inspect.Type:
    return inspect.type_info(kind)
