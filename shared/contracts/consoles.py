"""Consoles: the order to open one. Its bytes go over a stream of `shared.contracts.streams`.

Ledger:

    1.0  2026-11  OpenConsole
    1.1  2026-11  OpenConsole: every field has a bound
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contracts.bounds import Version, Word

VERSION = "1.1"


class ConsoleType(StrEnum):
    """What is opened: a shell, the text console, or the screen of a virtual machine (SPICE)."""

    EXEC = "exec"
    CONSOLE = "console"
    VGA = "vga"


class OpenConsole(Struct, frozen=True, kw_only=True):
    """Open a console of the instance that has this uuid, at the other end of the stream.

    `principal` and `address` say who will sit at it, for the host's log.
    """

    stream: Word
    project: Word
    name: Word
    uuid: Word
    type: ConsoleType
    principal: Word = ""
    address: Word = ""
    version: Version = VERSION
