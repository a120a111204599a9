"""Sorted lists of instances that cost what is read of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

from services.gateway.fleet.change_set import InstanceKey
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.views import InstanceView


class Views(Sequence[InstanceView]):
    """The views of some records, each made when it is read."""

    def __init__(self, records: Sequence[InstanceRecord]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> InstanceView: ...
    @overload
    def __getitem__(self, index: slice) -> list[InstanceView]: ...
    def __getitem__(self, index: int | slice) -> InstanceView | list[InstanceView]:
        if isinstance(index, slice):
            return [record.view() for record in self._records[index]]
        return self._records[index].view()

    def __iter__(self) -> Iterator[InstanceView]:
        return (record.view() for record in self._records)


class _Part(Sequence[InstanceView]):
    """A part of a list, which is not copied."""

    def __init__(self, base: Sequence[InstanceView], start: int, stop: int) -> None:
        self._base = base
        self._places = range(start, max(start, stop))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> InstanceView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[InstanceView]: ...
    def __getitem__(self, index: int | slice) -> InstanceView | Sequence[InstanceView]:
        places = self._places[index]
        if isinstance(places, range):
            return self._base[places.start : places.stop]
        return self._base[places]


class Overlaid(Sequence[InstanceView]):
    """A sorted list without some of its entries and with others, which are few."""

    def __init__(
        self,
        base: Sequence[InstanceView],
        hidden: Collection[InstanceKey],
        added: Iterable[InstanceView],
    ) -> None:
        self._parts: list[Sequence[InstanceView]] = []
        start = 0
        extra = {sort_key(view): view for view in added}
        for key in sorted({*hidden, *extra}):
            end = bisect_left(base, key, key=sort_key)
            is_there = end < len(base) and sort_key(base[end]) == key
            self._parts.append(_Part(base, start, end))
            if key in extra:
                self._parts.append([extra[key]])
            start = end + (is_there and key in hidden)
        self._parts.append(_Part(base, start, len(base)))

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @overload
    def __getitem__(self, index: int) -> InstanceView: ...
    @overload
    def __getitem__(self, index: slice) -> list[InstanceView]: ...
    def __getitem__(self, index: int | slice) -> InstanceView | list[InstanceView]:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return self._range(start, stop)
        position = range(len(self))[index]
        return self._range(position, position + 1)[0]

    def __iter__(self) -> Iterator[InstanceView]:
        return chain.from_iterable(self._parts)

    def _range(self, start: int, stop: int) -> list[InstanceView]:
        found: list[InstanceView] = []
        for part in self._parts:
            if start < len(part) and stop > 0:
                found += part[max(start, 0) : stop]
            start, stop = start - len(part), stop - len(part)
        return found
