from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.fleet.instance_index import InstanceIndex, InstanceQuery, matches
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.selection import Overlaid, Views
from services.gateway.fleet.views import InstanceView
from tests.support.builders import an_instance
from tests.support.views import a_view

HOSTS, NAMES = ("h1", "h2", "h3"), ("a", "b", "c", "d")
PROJECTS, STATUSES, TYPES = ("default", "lab"), ("Running", "Stopped", "Odd"), ("container", "vm")
LABELS = st.dictionaries(st.sampled_from(("tier", "a=b")), st.sampled_from(("x", "y")))

records = st.builds(
    lambda host, name, **more: InstanceRecord(host, an_instance(name, **more), (1, 1)),
    st.sampled_from(HOSTS),
    st.sampled_from(NAMES),
    project=st.sampled_from(PROJECTS),
    status=st.sampled_from(STATUSES),
    type=st.sampled_from(TYPES),
    labels=LABELS,
    display_name=st.sampled_from(("", "Web")),
)
queries = st.builds(
    InstanceQuery,
    st.sampled_from(HOSTS) | st.none(),
    st.sampled_from(PROJECTS) | st.none(),
    st.sampled_from(TYPES) | st.none(),
    st.frozensets(st.sampled_from(STATUSES)) | st.none(),
    st.lists(st.sampled_from(("tier", "tier=x", "a", "a=b", "a=b=x"))).map(tuple),
)


def unique(found: list[InstanceRecord]) -> list[InstanceRecord]:
    return list({record.sort_key: record for record in found}.values())


@given(st.lists(records, max_size=20).map(unique), st.data())
def test_a_query_returns_what_matches_in_order_whatever_came_and_went(
    found: list[InstanceRecord], data: st.DataObject
) -> None:
    index = InstanceIndex(lambda: 0.0)
    for record in found:
        index.add(record)
    gone = data.draw(st.sets(st.sampled_from(found)) if found else st.just(set()))
    for record in gone:
        index.remove(record)
    left = [record for record in found if record not in gone]
    for record in left:
        before = record.instance
        record.update(data.draw(records).instance.__class__(**_moved(before, data)), (1, 2), 0.0)
        index.update(record, before)
    query = data.draw(queries)

    expected = [each for each in left if matches(each.instance, each.host, query)]

    assert list(index.select(query)) == sorted(expected, key=lambda each: each.sort_key)
    assert index.statuses() == Counter(each.instance.status for each in left)
    called = [e for e in left if (e.instance.display_name or e.instance.name) == "Web"]
    assert {e.sort_key for e in index.with_display_name("Web")} == {e.sort_key for e in called}


def _moved(instance: object, data: st.DataObject) -> dict[str, object]:
    """Return the fields of an instance with another state, and perhaps other labels."""
    fields = {name: getattr(instance, name) for name in instance.__struct_fields__}  # type: ignore[attr-defined]
    return fields | {"status": data.draw(st.sampled_from(STATUSES)), "labels": data.draw(LABELS)}


def views_of(names: set[int]) -> list[InstanceView]:
    return sorted((a_view(f"i{name:03}") for name in names), key=sort_key)


@given(
    st.sets(st.integers(0, 30)),
    st.sets(st.integers(0, 30), max_size=4),
    st.sets(st.integers(0, 30), max_size=4),
    st.integers(-3, 35),
    st.integers(-3, 35),
)
def test_a_list_that_is_overlaid_is_the_merged_one(
    base: set[int], hidden: set[int], added: set[int], start: int, stop: int
) -> None:
    there = views_of(base)
    extra = views_of(added)
    merged = sorted([each for each in there if each not in views_of(hidden)] + extra, key=sort_key)

    overlaid = Overlaid(there, {sort_key(each) for each in views_of(hidden)}, extra)

    assert list(overlaid) == merged
    assert len(overlaid) == len(merged)
    assert overlaid[start:stop] == merged[start:stop]
    assert [overlaid[place] for place in range(-len(merged), len(merged))] == merged * 2


def test_views_are_made_when_they_are_read() -> None:
    many = [InstanceRecord("h1", an_instance(f"i{n:04}"), (1, 1)) for n in range(1000)]

    page = Views(many)[500:510]

    assert [view.instance.name for view in page] == [f"i{n:04}" for n in range(500, 510)]
    assert sum(record._view is not None for record in many) == 10
