"""Which of the instances that an LXD lists are this host's to speak for.

An LXD lists those of one project unless it is asked for all, and in a cluster it lists those of
every member, whose own services speak for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.instances import DEFAULT_PROJECT
from shared.platform.settings import EnvReader

ALL = "*"


def lxd_projects(read: EnvReader) -> tuple[str, ...]:
    """Return the projects in `FLEET_LXD_PROJECTS`; all where none is named."""
    return read.words("FLEET_LXD_PROJECTS") or (ALL,)


@dataclass(slots=True)
class LxdScope:
    """The projects of a host, and which member of a cluster its LXD is.

    `member` is empty where there is no cluster, None as long as LXD was not asked.
    """

    projects: tuple[str, ...] = (ALL,)
    member: str | None = None

    def learn(self, name: str, *, clustered: bool) -> None:
        """Take in what LXD says of itself."""
        self.member = name if clustered else ""

    def covers(self, project: str, location: str) -> bool:
        """Whether what is in this project at this member is ours; `location` as LXD tells it."""
        return self.serves(project) and (not self.member or location == self.member)

    def serves(self, project: str) -> bool:
        """Whether the instances of this project are the fleet's."""
        return ALL in self.projects or (project or DEFAULT_PROJECT) in self.projects
