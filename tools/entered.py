"""Writes down which functions of the product a process enters.

`python -m tools.entered FILE MODULE` runs the module as `python -m MODULE` would. A line is a time
in nanoseconds, by a clock that all processes of the machine share, the module's path and the
function. Of coroutines the beginning counts, not each return to them.

It imports nothing that a worker has to have patched first.
"""

from __future__ import annotations

import dis
import os
import runpy
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType

ROOT = Path(__file__).parents[1]
PRODUCT = tuple(
    f"{ROOT}/{folder}/" for folder in ("services", "shared/contracts", "shared/platform")
)
# Python's own names of what is no function of anybody's.
NO_FUNCTIONS = {"<module>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"}


class Record:
    """The file that is written; to be passed to `sys.setprofile`."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        # What is written of the code, and where it begins; None: it is not of the product.
        self._known: dict[CodeType, tuple[bytes, int] | None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Write a line when a function of the product begins."""
        if event != "call":
            return
        code = frame.f_code
        if code not in self._known:
            self._known[code] = _described(code)
        described = self._known[code]
        if described is not None and frame.f_lasti == described[1]:
            os.write(self._file, b"%d\t%b\n" % (time.monotonic_ns(), described[0]))


def _described(code: CodeType) -> tuple[bytes, int] | None:
    path = code.co_filename
    if code.co_name in NO_FUNCTIONS or not path.startswith(PRODUCT):
        return None
    # A coroutine that goes on does so at a later instruction of this name.
    begins = next(each.offset for each in dis.get_instructions(code) if each.opname == "RESUME")
    return f"{path.removeprefix(f'{ROOT}/')}\t{code.co_qualname}".encode(), begins


def main() -> None:
    """Run a module and write down what it enters."""
    record = Record(Path(sys.argv[1]))
    module = sys.argv[2]
    sys.argv[1:] = []
    threading.setprofile(record)
    sys.setprofile(record)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
