"""A private PostgreSQL for the tests that compare it with SQLite, where it is installed.

It listens on a socket in a folder of its own and nowhere else, and syncs nothing to disk.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

# PostgreSQL refuses to run as root; its package makes this user.
USER = "postgres"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs or os.getuid() != 0:
        pytest.skip("PostgreSQL is not installed, or this is not root")
    with _folder() as folder:
        data = folder / "data"
        _run(programs[-1], "--pgdata", data, "--auth", "trust", "--no-sync")
        control = programs[-1].with_name("pg_ctl")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        _run(control, "start", "-w", "-D", data, "-l", folder / "log", "-o", options)
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            _run(control, "stop", "-w", "-m", "immediate", "-D", data)


def fresh_database(url: str) -> str:
    """Make a database for one test; return its address."""
    name = f"t{secrets.token_hex(4)}"
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(SQL("create database {}").format(Identifier(name)))
    return url.replace("/postgres?", f"/{name}?")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fleet-postgresql-"))
    owner = pwd.getpwnam(USER)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(*command: str | Path) -> None:

    subprocess.run(
        ["runuser", "-u", USER, "--", *command], check=True, cwd="/", stdout=subprocess.DEVNULL
    )
