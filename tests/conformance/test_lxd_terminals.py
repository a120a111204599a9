"""What the double claims of LXD's shells and consoles, held against LXD itself."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.lxd_client import Client

SHELL = {"command": ["/bin/sh"], "interactive": True, "wait-for-websocket": True}


async def test_a_shell_ends_with_an_empty_text_and_its_exit_status(
    client: Client, running: str
) -> None:
    async with client.terminal(f"/1.0/instances/{running}/exec", SHELL) as shell:
        await shell.data.receive_bytes()
        await shell.data.send_bytes(b"exit 7\n")
        await shell.shown_to_the_end()

    ended = await client.ended(shell.operation)
    assert (ended["class"], ended["status"]) == ("websocket", "Success")
    assert ended["metadata"]["return"] == 7


async def test_a_console_is_shown_to_whoever_has_its_secrets(client: Client, running: str) -> None:
    operation = await client.begin("POST", f"/1.0/instances/{running}/console", {"type": "console"})

    shown = await client.get(operation)
    assert (shown["class"], shown["description"]) == ("websocket", "Showing console")
    assert set(shown["metadata"]["fds"]) == {"0", "control"}


@pytest.mark.parametrize(
    ("end", "body", "refusal"),
    [
        ("exec", SHELL, "Instance is not running"),
        ("console", {"type": "console"}, "Instance is not running"),
        ("console", {"type": "vga"}, "VGA console is only supported by virtual machines"),
        ("console", {"type": "x"}, 'Unknown console type "x"'),
    ],
)
async def test_what_cannot_be_shown_is_refused_at_once(
    client: Client, stopped: str, end: str, body: object, refusal: str
) -> None:
    answer = await client.ask("POST", f"/1.0/instances/{stopped}/{end}", body)

    assert answer.refusal == (400, refusal)


async def test_a_secret_that_is_wrong_opens_nothing(client: Client, running: str) -> None:
    operation = await client.begin("POST", f"/1.0/instances/{running}/exec", SHELL)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.connect(f"{operation}/websocket?secret=wrong")


@pytest.mark.parametrize(
    ("command", "status", "err"),
    [
        (["/bin/sh", "-c", "cat >/dev/null; exit 3"], 3, ""),
        (["/bin/sh", "-c", "exit 0"], 0, ""),
        (["nix"], 127, "Command not found"),
    ],
)
async def test_a_program_without_a_terminal_reads_its_input_until_an_empty_text(
    client: Client, running: str, command: list[str], status: int, err: str
) -> None:
    body = {"command": command, "interactive": False, "wait-for-websocket": True}
    operation = await client.begin("POST", f"/1.0/instances/{running}/exec", body)
    secrets = (await client.get(operation))["metadata"]["fds"]
    sockets = {
        end: await client.connect(f"{operation}/websocket?secret={secret}")
        for end, secret in sorted(secrets.items())
    }

    await sockets["0"].send_bytes(b"a line\n")
    await sockets["0"].send_str("")

    ended = await client.ended(operation)
    assert set(sockets) == {"0", "1", "2", "control"}
    assert (ended["class"], ended["err"]) == ("websocket", err)
    assert ended["metadata"]["return"] == status
    for socket in sockets.values():
        await socket.close()
