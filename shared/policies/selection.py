"""Which instances a policy selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache

from shared.contracts.policies import MOST_POLICIES, Selection

_WILDCARDS = frozenset("*?[")


def selects(
    selection: Selection, host: str, project: str, name: str, labels: Mapping[str, str]
) -> bool:
    """Whether an instance fits every field of a selection that is not empty."""
    return (
        not selects_nothing(selection)
        and may_select_host(selection, host)
        and (not selection.projects or project in selection.projects)
        and all(labels.get(key) == value for key, value in selection.labels.items())
        and (not selection.names or _fits(selection.names)(name))
    )


def selects_nothing(selection: Selection) -> bool:
    """Whether all fields of a selection are empty, so that it selects no instance at all."""
    return not (selection.hosts or selection.projects or selection.names or selection.labels)


def may_select_host(selection: Selection, host: str) -> bool:
    """Whether a selection may select instances of a host."""
    return not selects_nothing(selection) and (not selection.hosts or host in selection.hosts)


@lru_cache(maxsize=MOST_POLICIES)
def _fits(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what says whether a name fits any of the globs.

    A host asks it for each policy and instance.
    """
    exact = frozenset(each for each in globs if _WILDCARDS.isdisjoint(each))
    wild = [each for each in globs if each not in exact]
    if not wild:
        return exact.__contains__
    match = re.compile("|".join(map(translate, wild))).match
    return lambda name: name in exact or match(name) is not None
