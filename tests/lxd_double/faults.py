"""What a test may make the double do wrong, at any time, from any thread."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """The faults in force; actions are `create`, `start`, `stop`, `restart`, `freeze`, `unfreeze`,
    `rename`, `update` and `delete`.

    `duration_s`: how long an action takes, instead of an instant. For a clean stop it is how long
    the guest takes, whatever LXD's patience. `failures`: the words with which an action fails
    inside its operation. `breaks`: those with which a creation fails when it has half made the
    instance. `deaf`: names of instances whose guest ignores a clean stop.
    `waits_refused`: who waits for an operation that fails, or goes on after the time-out, is
    answered with the error; its value is the HTTP status, 500 as by LXD 5.15, 200 as by Incus
    6.0.4. `no_json`: every answer is HTML. `answer_delay_s`: before each answer.
    `pools_broken`: no storage pool tells its space. `refused`: paths that are answered with an
    error, and its status; a question with its state is refused as the state is. `slow_s`: before
    the answer to a path. `answers`: texts that paths are answered with, instead of what is asked or
    of the error.
    """

    duration_s: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    breaks: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    waits_refused: int = 0
    no_json: bool = False
    answer_delay_s: float = 0.0
    pools_broken: bool = False
    refused: dict[str, int] = field(default_factory=dict)
    slow_s: dict[str, float] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
