"""Roots that rebuilds have left are deleted in time, and only those."""

from __future__ import annotations

import pytest

from services.lxd_worker.operations.planning import KEEP_S
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.rebuild.trash import TrashCollector
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    FleetError,
    LxdBusy,
    LxdRefused,
)
from shared.contracts.instances import Trash
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.rebuilds import (
    PowerFailure,
    an_order,
    die_at,
    ended,
    kept,
    roots,
)


def collector(bench: Bench) -> TrashCollector:
    return TrashCollector(bench.lxd, bench.journal, bench.clock)


def test_trash_is_deleted_when_its_day_is_over(bench: Bench) -> None:
    ended(bench)
    kept(bench)
    collector(bench).collect()
    assert roots(bench).keys() == {"web", "trash"}
    bench.clock.advance(KEEP_S + 1)

    collector(bench).collect()

    assert roots(bench).keys() == {"web"}
    assert bench.lxd.limits["web"]["trash"] is None


def test_the_trash_of_an_earlier_rebuild_makes_room_for_that_of_a_later_one(bench: Bench) -> None:
    ended(bench)
    (first,) = [look.name for look in bench.lxd.holds.values() if look.parked_as == look.name]
    ended(bench, op="again")
    (second,) = {look.name for look in bench.lxd.holds.values() if look.parked_as == look.name} - {
        first
    }
    bench.lxd.until |= dict.fromkeys((first, second), int(bench.clock.unix()) + KEEP_S)
    bench.lxd.limits["web"] = {"trash": Trash(name=second, until="")}

    collector(bench).collect()

    assert set(bench.lxd.holds) == {"web", "db", second}


def test_trash_without_an_owner_is_kept_for_its_day(bench: Bench) -> None:
    ended(bench)
    kept(bench)
    del bench.lxd.holds["web"]

    collector(bench).collect()

    assert roots(bench).keys() == {"trash"}


def test_what_an_operation_swaps_is_no_trash(bench: Bench) -> None:
    die_at(bench, Step.MOVE_IN, "before")
    bench.operations.submit(an_order())
    (entry,) = bench.journal.unfinished()
    with pytest.raises(PowerFailure):
        OperationRunner(bench.context, entry).run()
    bench.clock.advance(KEEP_S + 1)

    collector(bench).collect()

    assert roots(bench).keys() == {"new", "trash"}


@pytest.mark.parametrize("error", [LxdRefused("no"), LxdBusy("busy")])
def test_trash_that_lxd_does_not_delete_is_tried_again_later(
    bench: Bench, error: FleetError
) -> None:
    ended(bench)
    kept(bench)
    bench.clock.advance(KEEP_S + 1)
    (trash,) = [look.name for look in bench.lxd.holds.values() if look.parked_as == look.name]
    bench.lxd.refuses_to_discard = dict.fromkeys((trash, "web"), error)
    collector(bench).collect()
    bench.lxd.refuses_to_discard.clear()

    collector(bench).collect()

    assert roots(bench).keys() == {"web"}


def test_what_nobody_can_read_the_time_of_is_kept(bench: Bench) -> None:
    ended(bench)
    kept(bench)
    (trash,) = [look.name for look in bench.lxd.holds.values() if look.parked_as == look.name]
    bench.lxd.until[trash] = 0

    collector(bench).collect()

    assert roots(bench).keys() == {"web", "trash"}
