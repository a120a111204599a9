"""Which instances a policy selects."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from shared.contracts.policies import Selection


def selects(
    selection: Selection, host: str, project: str, name: str, labels: Mapping[str, str]
) -> bool:
    """Whether an instance fits every field of a selection that is not empty."""
    return (
        not selects_nothing(selection)
        and may_select_host(selection, host)
        and (not selection.projects or project in selection.projects)
        and all(labels.get(key) == value for key, value in selection.labels.items())
        and (not selection.names or any(fnmatchcase(name, each) for each in selection.names))
    )


def selects_nothing(selection: Selection) -> bool:
    """Whether all fields of a selection are empty, so that it selects no instance at all."""
    return not (selection.hosts or selection.projects or selection.names or selection.labels)


def may_select_host(selection: Selection, host: str) -> bool:
    """Whether a selection may select instances of a host."""
    return not selects_nothing(selection) and (not selection.hosts or host in selection.hosts)
