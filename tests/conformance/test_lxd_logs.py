"""What LXD has written about an instance, held against its double."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.support.lxd_client import Client


async def file_at(socket: Path, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Return status, content type and content of a file."""
    connector = aiohttp.UnixConnector(str(socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://lxd{path}", headers=headers) as answer,
    ):
        return answer.status, answer.content_type, await answer.read()


async def test_an_instance_has_a_log_from_its_creation_on(
    client: Client, socket: Path, stopped: str
) -> None:
    path = f"/1.0/instances/{stopped}/logs"

    listed = await client.get(path)
    status, kind, content = await file_at(socket, f"{path}/lxc.log")

    assert f"{path}/lxc.log" in listed
    assert f"{path}/qemu.log" not in listed
    assert (status, kind, content) == (200, "application/octet-stream", b"")


async def test_the_end_of_a_log_can_be_asked_for(
    client: Client, socket: Path, running: str
) -> None:
    path = f"/1.0/instances/{running}/logs/lxc.log"

    _, _, content = await file_at(socket, path)
    status, _, end = await file_at(socket, path, Range="bytes=-10")

    assert (status, end) == (206, content[-10:])


@pytest.mark.parametrize(
    ("file", "status", "words"),
    [
        ("qemu.log", 500, "qemu.log: no such file or directory"),
        ("nix.log", 400, "log file name nix.log not valid"),
    ],
)
async def test_a_log_that_is_not_there_is_refused(
    client: Client, stopped: str, file: str, status: int, words: str
) -> None:
    answer = await client.ask("GET", f"/1.0/instances/{stopped}/logs/{file}")

    assert answer.refusal[0] == status
    assert answer.refusal[1].endswith(words)
