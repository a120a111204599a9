"""What all failures have in common."""

from __future__ import annotations

from typing import ClassVar

from shared.contracts.bounds import MOST_VALUES, clip


class FleetError(Exception):
    """The root of all errors that a caller may expect.

    An error with values is a dataclass of strings, and `text` says it with their names.
    """

    code: ClassVar[str] = "internal_error"
    text: ClassVar[str] = ""

    def __post_init__(self) -> None:
        # Of its own accord an exception keeps only what was passed by position.
        self.args = tuple(vars(self).values())

    @property
    def values(self) -> tuple[str, ...]:
        """The raw values, in the order in which they cross the bus, cut to what may cross it."""
        return tuple(clip(str(value)) for value in self.args[:MOST_VALUES])

    def __str__(self) -> str:
        return self.text.format_map(vars(self)) or super().__str__()


class TemporaryError(FleetError):
    """The same request may work later."""

    code = "temporary_error"


class PermanentError(FleetError):
    """The same request will fail again."""

    code = "permanent_error"
