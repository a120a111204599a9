"""Events of LXD's that an operation's own reading of the instance answers.

LXD tells of what a step has done in an event, at about the moment at which it says that the step
has ended, and then the operation reads the instance anyway: one reading answers both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.lxd_worker.instances.lifecycle_events import AffectedInstance
from services.lxd_worker.protocols import CallLater, ObservedInstance
from services.lxd_worker.transitions.steps import Step

# The longest wait for a reading: what happens in the middle of a step is told no later.
HOLD_S = 0.1

# What LXD sends once for a step, before it says that it has done it.
_ACTIONS = {
    Step.START: "instance-started",
    Step.STOP: "instance-shutdown",
    Step.FORCE_STOP: "instance-stopped",
    Step.RESTART: "instance-restarted",
    Step.FORCE_RESTART: "instance-restarted",
    Step.FREEZE: "instance-paused",
    Step.UNFREEZE: "instance-resumed",
}

Place = tuple[str, str]
Answer = Callable[[AffectedInstance, ObservedInstance], None]


@dataclass(slots=True)
class _Step:
    """A step on an instance, until LXD has told of it and the instance was read.

    `action` is what LXD is still to tell, empty if nothing; `held` the event that waits for the
    reading, and `reported` what was read.
    """

    action: str
    is_begun: bool = False
    is_over: bool = False
    held: AffectedInstance | None = None
    reported: ObservedInstance | None = None


@dataclass(slots=True)
class HeldEvents:
    """The events about instances on which a step is taken, by project and name.

    `request` is called with those that need a reading of their own, `answer` with the others and
    what was read.
    """

    later: CallLater
    request: Callable[[AffectedInstance], None]
    answer: Answer
    _steps: dict[Place, _Step] = field(default_factory=dict)

    @property
    def any_held(self) -> bool:
        """Whether anything has changed that was not read since."""
        return any(step.held for step in self._steps.values())

    def expect(self, place: Place, step: Step) -> None:
        """Hold the events about an instance, which is read at the end of this step."""
        self._release(place)
        self._steps[place] = _Step(_ACTIONS.get(step, ""))

    def on_event(self, affected: AffectedInstance) -> None:
        """Have an event answered: by the step's reading, or by one of its own."""
        place = (affected.project, affected.name)
        step = self._steps.get(place)
        if step is None:
            self.request(affected)
            return
        is_of_step = affected.action == step.action
        if is_of_step or not step.is_begun:
            step.action = "" if is_of_step else step.action
            self._hold(place, step, affected)
        else:
            # It may be of after the reading.
            step.action = ""
            self.request(affected)
        self._settle(place, step)

    def begin_reading(self, place: Place, *, is_done: bool) -> None:
        """Hold no other event than the step's own; LXD has sent that if it has done the step."""
        step = self._steps.setdefault(place, _Step(""))
        step.is_begun = True
        if not is_done:
            step.action = ""

    def end_reading(self, place: Place, reported: ObservedInstance | None) -> None:
        """Have what is held answered by what was read; None: nothing was."""
        step = self._steps[place]
        step.is_over, step.reported = True, reported
        if reported is None:
            step.action = ""
            self._release(place)
        self._settle(place, step)

    def cancel(self, place: Place) -> None:
        """Hold nothing more about an instance that is not read."""
        step = self._steps.get(place)
        if step and not step.is_begun:
            self._release(place)
            del self._steps[place]

    def clear(self) -> None:
        """Forget what came so far: every instance is being read."""
        for place, step in list(self._steps.items()):
            step.held = None
            if step.is_over:
                del self._steps[place]

    def _hold(self, place: Place, step: _Step, affected: AffectedInstance) -> None:
        if step.held is None and not step.is_begun:
            self.later(HOLD_S, lambda: self._release(place))
        step.held = affected

    def _settle(self, place: Place, step: _Step) -> None:
        """Answer what is held once the instance is read, and forget a step that is over."""
        if step.held and step.reported:
            self.answer(step.held, step.reported)
            step.held = None
        if step.is_over and not step.action:
            self._steps.pop(place, None)

    def _release(self, place: Place) -> None:
        step = self._steps.get(place)
        if step and step.held:
            affected, step.held = step.held, None
            self.request(affected)
