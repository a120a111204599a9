"""What a worker had to leave out, for a test to look at."""

from __future__ import annotations

from services.lxd_worker.omissions import Omission


class Omissions:
    """Takes in every omission, as `Omit`."""

    def __init__(self) -> None:
        self.heard: list[tuple[Omission, str, str]] = []

    def __call__(self, what: Omission, subject: str, reason: str) -> None:
        self.heard.append((what, subject, reason))

    def of(self, what: Omission) -> set[str]:
        """Return the subjects of one kind."""
        return {subject for one, subject, _ in self.heard if one is what}
