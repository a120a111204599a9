"""Rebuilds of `web` among fakes, and what they leave."""

from __future__ import annotations

from typing import Any

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.planning import KEEP_S
from services.lxd_worker.transitions.steps import Step
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Trash
from shared.contracts.operations import Arguments, Kind, Operation, Submission
from tests.support.builders import a_submission
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.resources import GIB


class PowerFailure(BaseException):
    """The worker is gone."""


def an_order(kind: Kind = Kind.REBUILD, name: str = "web", op: str = "op") -> Submission:
    image = ImageSource(alias="busybox") if kind is Kind.REBUILD else None
    return a_submission(kind, name, Arguments(image=image), operation_id=op)


def ended(bench: Bench, **order: Any) -> Operation:
    return bench.carry_out(an_order(**order))


def roots(bench: Bench) -> dict[str, Observation]:
    """Return what shares the uuid of `web`, by its name without the operation's mark."""
    return {
        name.split("-")[0]: look for name, look in bench.lxd.holds.items() if look.uuid == "u-web"
    }


def is_old(look: Observation) -> bool:
    return look.root == ""


def kept(bench: Bench, name: str = "web") -> None:
    """Write down what LXD's settings say of the trash of an instance."""
    (trash,) = [look.name for look in bench.lxd.holds.values() if look.parked_as == look.name]
    bench.lxd.until[trash] = int(bench.clock.unix()) + KEEP_S
    bench.lxd.limits[name] = {
        "trash": Trash(name=trash, until="2026-11-29T10:00:00Z", size=GIB),
        "root_size": GIB,
    }


def die_at(bench: Any, step: Step, moment: str) -> None:
    """Have the worker die before or after LXD is asked for a step, once.

    `bench.most_running` becomes the largest number of roots that ran at a time.
    """
    lxd, request = bench.lxd, bench.lxd.request
    bench.most_running = 0

    def watch(asked: Step, entry: JournalEntry) -> str:
        answer: str = request(asked, entry)
        running = sum(not root.stopped for root in roots(bench).values())
        bench.most_running = max(bench.most_running, running)
        return answer

    def die(asked: Step, entry: JournalEntry) -> str:
        if asked is not step:
            return watch(asked, entry)
        lxd.request = watch
        if moment == "after":
            watch(asked, entry)
        raise PowerFailure

    lxd.request = die
