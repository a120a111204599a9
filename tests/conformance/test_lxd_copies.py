"""Copies of snapshots as LXD makes them, held against its double."""

from __future__ import annotations

from tests.support.lxd_client import Client


async def test_a_copy_has_what_its_request_does_not_name_and_lacks_what_it_empties(
    client: Client, stopped: str
) -> None:
    proxy = {"type": "proxy", "listen": "unix:@copies", "connect": "tcp:127.0.0.1:80"}
    config = {"user.kept": "a", "user.emptied": "b", "user.replaced": "c"}
    body = {"config": config, "devices": {"http": proxy}}
    await client.ask("PATCH", f"/1.0/instances/{stopped}", body)
    await client.carry_out("POST", f"/1.0/instances/{stopped}/snapshots", {"name": "s1"})

    copy = f"{stopped}-copy"
    await client.carry_out(
        "POST",
        "/1.0/instances",
        {
            "name": copy,
            "type": "container",
            "profiles": ["default"],
            "source": {"type": "copy", "source": f"{stopped}/s1"},
            "config": {"user.emptied": "", "user.replaced": "d"},
            "devices": {"http": {"type": "none"}},
        },
    )

    made = await client.get(f"/1.0/instances/{copy}")
    users = {key: text for key, text in made["config"].items() if key.startswith("user.")}
    assert users == {"user.kept": "a", "user.replaced": "d"}
    assert made["devices"]["http"] == {"type": "none"}
    assert "volatile.apply_template" in made["config"]
    original = await client.get(f"/1.0/instances/{stopped}")
    assert made["config"].get("volatile.uuid") != original["config"].get("volatile.uuid", "")
    await client.remove(copy)
