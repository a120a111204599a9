"""What a scripted LXD makes of an instance whose root is swapped."""

from __future__ import annotations

from msgspec.structs import replace

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.journal.entry import JournalEntry, RootSwapPlan
from services.lxd_worker.transitions.steps import Step

STEPS = (
    Step.BUILD,
    Step.DETACH,
    Step.MOVE_OUT,
    Step.MOVE_IN,
    Step.ATTACH,
    Step.RELEASE,
    Step.MOVE_NEW_BACK,
    Step.MOVE_OLD_BACK,
    Step.REATTACH,
    Step.DISCARD,
)


def target(step: Step, entry: JournalEntry) -> str:
    """Return the name of what LXD is asked to change."""
    name, swap = entry.operation.instance, entry.plan.swap if entry.plan else None
    if swap is None:
        return name
    beside = (Step.MOVE_IN, Step.DISCARD)
    return swap.beside if step in beside else swap.trash if step is Step.MOVE_OLD_BACK else name


def take_effect(
    holds: dict[str, Observation], step: Step, entry: JournalEntry, *, half: bool
) -> None:
    """Change what LXD holds; `half` leaves a new root incomplete."""
    assert entry.plan
    assert entry.plan.swap
    name, swap = entry.operation.instance, entry.plan.swap
    found = holds[target(step, entry)]
    if step is Step.BUILD:
        holds[swap.beside] = _built(found, swap, half=half)
    elif step is Step.DISCARD:
        del holds[swap.beside]
    elif step in _NAMES:
        moved = {"out": swap.trash, "in": name, "new-back": swap.beside, "old-back": name}
        new_name = moved[step.value.removeprefix("move-")]
        assert new_name not in holds
        holds[new_name] = replace(holds.pop(found.name), name=new_name)
    else:
        aside = {Step.DETACH: swap.trash, Step.RELEASE: swap.beside}
        holds[name] = replace(found, parked_as=aside.get(step, ""))


_NAMES = (Step.MOVE_OUT, Step.MOVE_IN, Step.MOVE_NEW_BACK, Step.MOVE_OLD_BACK)


def _built(found: Observation, swap: RootSwapPlan, *, half: bool) -> Observation:
    return Observation(
        status="Stopped",
        uuid=found.uuid,
        created_at="2026-11-28T00:00:00Z",
        last_used_at="1970-01-01T00:00:00Z",
        complete=not half,
        name=swap.beside,
        root=swap.incoming,
        parked_as=swap.beside,
    )
