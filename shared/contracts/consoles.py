"""The request to open a console, whose bytes then travel over a `shared.contracts.streams` stream.

History:

    1.0  2026-11  OpenConsole
    1.1  2026-11  OpenConsole: every field has a bound
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contracts.bounds import Version, Word

VERSION = "1.1"


class ConsoleType(StrEnum):
    """A shell, the text console, or the screen of a virtual machine (SPICE)."""

    EXEC = "exec"
    CONSOLE = "console"
    VGA = "vga"


class OpenConsole(Struct, frozen=True, kw_only=True):
    """Open a console of the instance with this uuid at the other end of the stream.

    `principal` and `address` name its user, for the host's log.
    """

    stream: Word
    project: Word
    name: Word
    uuid: Word
    type: ConsoleType
    principal: Word = ""
    address: Word = ""
    version: Version = VERSION
