"""Fit values to the bounds in a message's annotations, so that the two never drift apart.

LXD's answers contain whatever a guest or a user wrote. One value out of bounds makes a whole
message unreadable, so senders cut or omit such values first. What is omitted is unknown to the
reader, never wrong:

* a text in a field or as a dict's value is cut; a NUL or a lone surrogate becomes U+FFFD
* a number out of bounds, or a value of another type, becomes the field's default
* list items and keys are complete or omitted; excess ones are omitted from the end
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
# No meaningful number has more; Python itself refuses to parse thousands of digits.
_MOST_DIGITS = 32


class Unfit(Exception):
    """A value does not fit a type: something required is missing or invalid."""


def fit(kind: type[T], value: object) -> tuple[T, tuple[str, ...]]:
    """Return plain JSON values as a message or a part of one, and the paths of what was omitted.

    A path is made of fields, keys and list indices, joined by dots. Raises Unfit.
    """
    fitter = _Fitter()
    result: T = fitter.fit(_info(cast("Hashable", kind)), value, "", cut=True)
    return result, tuple(fitter.omitted)


def parse(body: bytes) -> object:
    """Return JSON as plain values, more leniently than a strict decoder; raise Unfit if it is none.

    Invalid UTF-8 becomes U+FFFD, and a number of too many digits None.
    """
    try:
        return json.loads(body.decode(errors="replace"), parse_int=_integer)
    except (ValueError, RecursionError) as exc:
        raise Unfit(str(exc)) from exc


def fit_message(message: S) -> tuple[S, tuple[str, ...]]:
    """Return a message that its reader can decode, unchanged if possible; see `fit`."""
    if is_readable(message):
        return message, ()
    return fit(type(message), msgspec.to_builtins(message))


def is_readable(message: msgspec.Struct) -> bool:
    """Return whether a message is within its bounds and can be encoded."""
    try:
        body = encode(message)
        decode(type(message), body)
    except (UnreadableMessage, UnicodeEncodeError, OverflowError):
        return False
    return _NUL_IN_JSON not in body


def shorten(message: S, most: int, fields: Sequence[str]) -> tuple[S, tuple[str, ...]]:
    """Return a message of at most `most` bytes of JSON, and which of these fields were shortened.

    The largest field is shortened first, from its end. If the other fields alone exceed the size,
    so does the message.
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
    """Return messages of at most `most` bytes together; see `shorten`.

    If they have more, only those that exceed an equal share are shortened, to that share.
    """
    if sum(map(_size, messages)) <= most:
        return [(message, ()) for message in messages]
    share = most // len(messages)
    return [shorten(message, share, fields) for message in messages]


def beginning(value: Any, most: int) -> Any:
    """Return the beginning of a text, sequence or mapping, of at most `most` bytes of JSON."""
    fits, too_long = 0, len(value) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _size(_first(value, middle)) <= most:
            fits = middle
        else:
            too_long = middle
    return _first(value, fits)


class _Fitter:
    """Fits one value, and collects the paths of what it omits in `omitted`."""

    def __init__(self) -> None:
        self.omitted: list[str] = []
        self._fitters: dict[type[inspect.Type], Callable[..., Any]] = {
            inspect.Metadata: self._unwrap,
            inspect.UnionType: self._union,
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.ListType: self._sequence,
            inspect.VarTupleType: self._sequence,
            inspect.StrType: self._text,
        }

    def fit(self, kind: inspect.Type, value: object, path: str, *, cut: bool) -> Any:
        """Return the value as this type; with `cut`, a text that is too long is cut, not unfit."""
        if fitter := self._fitters.get(type(kind)):
            return fitter(kind, value, path, cut=cut)
        if not _is_fit(kind, value):
            raise Unfit(path)
        return kind.cls(value) if isinstance(kind, inspect.EnumType) else value

    def _unwrap(self, kind: inspect.Metadata, value: object, path: str, *, cut: bool) -> Any:
        return self.fit(kind.type, value, path, cut=cut)

    def _union(self, kind: inspect.UnionType, value: object, path: str, *, cut: bool) -> Any:
        for one in kind.types:
            so_far = len(self.omitted)
            try:
                return self.fit(one, value, path, cut=cut)
            except Unfit:
                del self.omitted[so_far:]
        raise Unfit(path)

    def _struct(self, kind: inspect.StructType, value: object, path: str, *, cut: bool) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit(path)
        result = {}
        for field in kind.fields:
            if field.encode_name not in value:
                if field.required:
                    raise Unfit(_join(path, field.name))
                continue
            inside = _join(path, field.name)
            try:
                result[field.name] = self.fit(field.type, value[field.encode_name], inside, cut=cut)
            except Unfit:
                if field.required:
                    raise
                self.omitted.append(inside)
        return kind.cls(**result)

    def _dict(
        self, kind: inspect.DictType, value: object, path: str, *, cut: bool
    ) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise Unfit(path)
        result: dict[Any, Any] = {}
        for key, one in value.items():
            inside = _join(path, key)
            if kind.max_length is not None and len(result) == kind.max_length:
                self.omitted.append(path)
                break
            try:
                fitting_key = self.fit(kind.key_type, key, inside, cut=False)
                result[fitting_key] = self.fit(kind.value_type, one, inside, cut=cut)
            except Unfit:
                self.omitted.append(inside)
        _check_least(kind.min_length, result, path)
        return result

    def _sequence(
        self,
        kind: inspect.ListType | inspect.VarTupleType,
        value: object,
        path: str,
        *,
        cut: bool,
    ) -> Any:
        # Items are complete or omitted, even where a text may be cut.
        if not isinstance(value, (list, tuple)):
            raise Unfit(path)
        result: list[Any] = []
        for number, one in enumerate(value):
            if kind.max_length is not None and len(result) == kind.max_length:
                self.omitted.append(path)
                break
            inside = _join(path, number)
            try:
                result.append(self.fit(kind.item_type, one, inside, cut=False))
            except Unfit:
                self.omitted.append(inside)
        _check_least(kind.min_length, result, path)
        return result if isinstance(kind, inspect.ListType) else tuple(result)

    def _text(self, kind: inspect.StrType, value: object, path: str, *, cut: bool) -> str:
        if not isinstance(value, str):
            raise Unfit(path)
        text = writable(value)
        if kind.max_length is not None and len(text) > kind.max_length:
            # Cut, a text with a pattern would mean something else, or nothing.
            if not cut or kind.pattern is not None:
                raise Unfit(path)
            text = text[: kind.max_length]
        if kind.pattern is not None and not re.search(kind.pattern, text):
            raise Unfit(path)
        if text != value:
            self.omitted.append(path)
        return text


def _is_fit(kind: inspect.Type, value: object) -> bool:
    """Return whether a value that cannot be cut has this type and is within its bounds."""
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
    # NaN fails every comparison; JSON has no infinity.
    return least <= value <= most and value not in (math.inf, -math.inf)


def _check_least(least: int | None, result: Sized, path: str) -> None:
    if len(result) < (least or 0):
        raise Unfit(path)


def _first(value: Any, count: int) -> Any:
    return dict(islice(value.items(), count)) if isinstance(value, dict) else value[:count]


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _join(path: str, inside: object) -> str:
    return f"{path}.{inside}" if path else str(inside)


@cache
def _info(kind: Hashable) -> inspect.Type:
    return inspect.type_info(kind)
