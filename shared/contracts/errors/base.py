"""The roots of all errors."""

from __future__ import annotations

from typing import ClassVar

from shared.contracts.bounds import MOST_VALUES, clip


class FleetError(Exception):
    """The root of all errors that a caller may expect.

    An error with values is a dataclass of strings; `text` is a template with their names.
    """

    code: ClassVar[str] = "internal_error"
    text: ClassVar[str] = ""

    def __post_init__(self) -> None:
        # By itself an exception records positional arguments only.
        self.args = tuple(vars(self).values())

    @property
    def values(self) -> tuple[str, ...]:
        """The raw values as they cross the bus: in order, and cut to its bounds."""
        return tuple(clip(str(value)) for value in self.args[:MOST_VALUES])

    def __str__(self) -> str:
        return self.text.format_map(vars(self)) or super().__str__()


class TemporaryError(FleetError):
    """The same request may work later."""

    code = "temporary_error"


class PermanentError(FleetError):
    """The same request will fail again."""

    code = "permanent_error"
