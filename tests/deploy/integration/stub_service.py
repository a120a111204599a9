"""A service that notes in `NOTES` what happens to it.

`STUBBORN` ignores that it is told to end; with `EXIT_CODE` it ends as soon as the first one runs.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

NAME = os.environ["NAME"]
NOTES = Path(os.environ["NOTES"])


def note(what: str) -> None:
    with NOTES.open("a") as file:
        file.write(f"{NAME} {what}\n")


def told(number: int, _frame: object) -> None:
    note(signal.Signals(number).name)
    if "STUBBORN" not in os.environ:
        note("ended")
        sys.exit(0)


signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGHUP, told)
note(f"started {os.getpid()}")
if "EXIT_CODE" in os.environ:
    while "one started" not in NOTES.read_text():
        time.sleep(0.02)
    sys.exit(int(os.environ["EXIT_CODE"]))
for number in range(1_000_000):
    # Who reads it may have been killed; our services' logs fail silently then too.
    with suppress(BrokenPipeError):
        print("x" * 1000 if "CHATTY" in os.environ else "a line", flush=True)
    if "CHATTY" not in os.environ:
        time.sleep(0.02)
    elif number == 2000:
        note("has printed 2000 lines")
