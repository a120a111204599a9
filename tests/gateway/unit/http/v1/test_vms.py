from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.contracts.instance_etag import etag
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import a_view
from tests.support.vms import DB, WEB, WEB_TOO

VMS = "/api/v1/vms"
ALL = ["vm-u2", "vm-u1", "vm-u3"]


def ids(answer: httpx.Response) -> list[str]:
    return [entry["id"] for entry in answer.json()["data"]["vms"]]


def pagination(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["data"]["pagination"]
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ALL),
        ("status=running", ["vm-u1", "vm-u3"]),
        ("status=stopped", ["vm-u2"]),
        ("status=creating", []),
        ("search=web server", ["vm-u1"]),
        ("search=WEB", ["vm-u1", "vm-u3"]),
        ("search=vm-u2", ["vm-u2"]),
        ("search=10.0.0.100", ["vm-u1", "vm-u3"]),
        ("search=shop", ["vm-u1"]),
        ("search=&status=", ALL),
        ("host=h1", ["vm-u1"]),
        ("type=virtual-machine", ["vm-u3"]),
        ("project=p", ["vm-u3"]),
        ("label=env", ["vm-u2"]),
        ("label=env=prod", ["vm-u2"]),
        ("label=env=test", []),
        ("label=env&label=tier", []),
    ],
)
async def test_the_list_can_be_filtered(
    client: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    assert ids(await client.get(f"{VMS}?{query}")) == expected


@pytest.mark.parametrize("query", ["status=Running", "status=nix", "type=vm", "page=0", "page=x"])
async def test_what_no_list_can_show_is_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"{VMS}?{query}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("query", "shown", "page", "limit", "pages"),
    [
        ("", ALL, 1, 10, 1),
        ("limit=2", ALL[:2], 1, 2, 2),
        ("limit=2&page=2", ALL[2:], 2, 2, 2),
        ("limit=2&page=3", [], 3, 2, 2),
        ("limit=0", ALL[:1], 1, 1, 3),
        ("limit=-7&page=2", ALL[1:2], 2, 1, 3),
        ("limit=5000", ALL, 1, 1000, 1),
    ],
)
async def test_a_page_says_where_it_stands(
    client: httpx.AsyncClient, query: str, shown: list[str], page: int, limit: int, pages: int
) -> None:
    answer = await client.get(f"{VMS}?{query}")

    assert ids(answer) == shown
    found = pagination(answer)
    assert (found["page"], found["limit"], found["total"], found["pages"]) == (
        page,
        limit,
        3,
        pages,
    )


async def test_a_cursor_goes_on_where_the_page_ended_whatever_came_since(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    first = await client.get(f"{VMS}?limit=2")
    early = a_view("aaa", uuid="u0")
    gateway.fleet.change(instances=[WEB, DB, WEB_TOO, early])

    rest = await client.get(f"{VMS}?limit=2&cursor={pagination(first)['nextCursor']}")

    assert ids(rest) == ["vm-u3"]
    assert pagination(rest)["nextCursor"] is None


@pytest.mark.parametrize("cursor", ["x", "WyJhIl0", "é", "!!!!", "bnVsbA"])
async def test_what_is_no_cursor_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get(VMS, params={"cursor": cursor})

    assert answer.json()["error"]["details"]["errors"][0]["field"] == "cursor"


async def test_a_field_that_does_not_exist_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{VMS}?fields=id,nix")

    assert answer.json()["error"]["details"]["errors"][0]["field"] == "fields"


async def test_a_caller_who_has_the_list_already_is_told_so_and_no_more(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    tag = (await client.get(VMS)).headers["etag"]

    unchanged = await client.get(VMS, headers={"If-None-Match": f'"other", W/{tag}'})
    gateway.fleet.change(instances=[DB])
    changed = await client.get(VMS, headers={"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == tag
    assert (changed.status_code, ids(changed)) == (200, ["vm-u2"])


async def test_a_page_is_made_once_between_two_changes(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await client.get(f"{VMS}?limit=2")

    assert gateway.fleet.reads == 1


@pytest.mark.parametrize(
    ("vm_id", "expected"),
    [
        ("vm-u1", "vm-u1"),
        ("db", "vm-u2"),
        ("h2:db", "vm-u2"),
        ("h1:web", "vm-u1"),
        ("Web Server", "vm-u1"),
        ("h1:Web Server", "vm-u1"),
        ("web?project=p", "vm-u3"),
    ],
)
async def test_a_vm_is_found_by_its_id_or_a_name_that_only_it_has(
    client: httpx.AsyncClient, vm_id: str, expected: str
) -> None:
    answer = await client.get(f"{VMS}/{vm_id}")

    assert answer.json()["data"]["id"] == expected


@pytest.mark.parametrize("vm_id", ["nix", "vm-nix", "h1:db", "nix:db", "vm-u1?project=p", "vm-"])
async def test_what_fits_nothing_is_not_found(client: httpx.AsyncClient, vm_id: str) -> None:
    answer = await client.get(f"{VMS}/{vm_id}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "VM_NOT_FOUND")


@pytest.mark.attack
async def test_an_id_that_a_copy_shares_means_the_original(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    copy = replace(a_view("copy", uuid="u1", host="h2"), duplicate=True)
    gateway.fleet.change(instances=[WEB, copy])

    original = (await client.get(f"{VMS}/vm-u1")).json()["data"]
    copied = (await client.get(f"{VMS}/h2:copy")).json()["data"]

    assert (original["host"], original["duplicate"]) == ("h1", False)
    assert (copied["host"], copied["id"], copied["duplicate"]) == ("h2", "h2:copy", True)


async def test_an_instance_to_which_lxd_gave_no_uuid_is_known_by_its_place(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[a_view("old", uuid="")])

    answer = await client.get(f"{VMS}/h1:old")

    assert answer.json()["data"]["id"] == "h1:old"


async def test_one_vm_has_the_tag_that_guards_its_change(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{VMS}/vm-u1")

    assert answer.headers["etag"] == f'"{etag(WEB.instance)}"'


@pytest.mark.parametrize(
    ("token", "shown"), [(None, "web 22 ******** 1 2"), ("secret", "web 22 pass 1 2")]
)
async def test_a_password_in_a_description_is_shown_to_those_who_may_see_it(
    gateway: FakeGateway, token: str | None, shown: str
) -> None:
    gateway.settings = replace(LOOPBACK, token="secret", open_networks=("127.0.0.0/8",))
    gateway.fleet.change(instances=[a_view("web", description="web 22 pass 1 2")])
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async with gateway.client(headers=headers) as client:
        [entry] = (await client.get(VMS)).json()["data"]["vms"]
        found = ids(await client.get(f"{VMS}?search=pass"))

    assert entry["description"] == shown
    assert bool(found) is bool(token)
