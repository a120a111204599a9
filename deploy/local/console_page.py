"""Fetches what the page `/console/{id}` is made of: `python3 -m deploy.local.console_page`.

xterm.js comes from npm, at the versions and with the checksums of `package-lock.json`; it is
copied to where the gateway serves it from, so that at run time nothing is fetched from anywhere.
Runs on a Python that has nothing but its standard library.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.packages import Missing

WEB = Path(__file__).resolve().parents[2] / "services" / "gateway" / "web"
SOURCES = (WEB / "package.json", WEB / "package-lock.json")
PLACE = WEB / "xterm"
FILES = (
    "@xterm/xterm/lib/xterm.js",
    "@xterm/xterm/css/xterm.css",
    "@xterm/xterm/LICENSE",
    "@xterm/addon-fit/lib/addon-fit.js",
)
WITHOUT = "The page /console/{id} will have no terminal; everything else works."


def main() -> int:
    """Fetch the files; complain in one line where that fails."""
    try:
        fetch()
    except Missing as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def ensure() -> None:
    """Fetch the files unless they are there; where that fails say what that means, and go on."""
    if (PLACE / "xterm.js").exists():
        return
    try:
        fetch()
    except Missing as exc:
        print(f"{exc}\n{WITHOUT} To try again: make console-page", file=sys.stderr)


def fetch() -> None:
    """Fetch the files, in the place of those that may be there. Raises Missing."""
    if shutil.which("npm") is None:
        raise Missing("npm, which fetches xterm.js, is not installed (Debian's package: npm)")
    print("Fetching xterm.js from npm", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            shutil.copy(source, folder)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise Missing("npm could not fetch xterm.js; see above")
        PLACE.mkdir(exist_ok=True)
        for file in FILES:
            shutil.copy(Path(folder, "node_modules", file), PLACE)


if __name__ == "__main__":
    sys.exit(main())
