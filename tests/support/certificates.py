"""A certificate for 127.0.0.1 that a test makes for itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """Two PEM files."""

    cert: Path
    key: Path


def self_signed(folder: Path) -> Certificate:
    """Return a new certificate that nobody but itself vouches for."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run([*request, *names, *files], check=True, stderr=subprocess.DEVNULL)
    return made
