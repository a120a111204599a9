from __future__ import annotations

import httpx
import pytest

from tests.support.clock import FakeClock
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view, an_offline_host

WEB = a_view("web", description="the shop", host="h1")
DB = a_view("db", status="Stopped", description="orders", host="h2")
WEB_TOO = a_view("web", type="virtual-machine", description="", host="h2")
SHOPS_DB = a_view("db", project="shop", host="h2")


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    gateway.fleet.known_hosts = [a_host_view("h1"), a_host_view("h2")]
    gateway.fleet.known_instances = [WEB, DB, WEB_TOO]
    return gateway


def names(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(entry["name"], entry["host"]) for entry in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("host=h1", [("web", "h1")]),
        ("status=stopped", [("db", "h2")]),
        ("status=Frozen", []),
        ("type=virtual-machine", [("web", "h2")]),
        ("search=WE", [("web", "h1"), ("web", "h2")]),
        ("search=orders", [("db", "h2")]),
        ("search=10.0.0.100", [("web", "h1"), ("web", "h2")]),
        ("search=web&host=h2", [("web", "h2")]),
    ],
)
async def test_the_list_can_be_filtered(
    client: httpx.AsyncClient, query: str, expected: list[tuple[str, str]]
) -> None:
    assert names(await client.get(f"/api/instances?{query}")) == expected


@pytest.mark.parametrize("path", ["/api/instances/db", "/api/instances/db/resources"])
async def test_a_name_in_two_projects_of_a_host_needs_a_project(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    gateway.fleet.known_instances = [WEB, DB, SHOPS_DB]

    refused = await client.get(path)
    found = await client.get(f"{path}?project=shop")
    elsewhere = await client.get(f"{path}?project=shop&host=h1")

    assert (refused.status_code, refused.json()["code"]) == (409, "ambiguous_project")
    assert refused.json()["detail"] == (
        "主机 h2 的多个项目中都有实例 db：default, shop；请用 ?project= 指定"
    )
    assert found.status_code == 200
    assert elsewhere.status_code == 404


@pytest.mark.parametrize("project", ["p" * 64, "a%00b"])
@pytest.mark.parametrize("path", ["/api/instances", "/api/instances/db", "/api/operations"])
async def test_what_is_no_projects_name_is_refused(
    client: httpx.AsyncClient, path: str, project: str
) -> None:
    answer = await client.get(f"{path}?project={project}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["project"]


async def test_the_list_is_built_once_between_two_changes(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await client.get("/api/instances")

    assert gateway.fleet.reads == 1


async def test_a_change_shows_in_the_next_list(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.get("/api/instances")
    gateway.fleet.change(instances=[DB])

    answer = await client.get("/api/instances")

    assert names(answer) == [("db", "h2")]


async def test_ages_grow_while_nothing_else_changes(gateway: FakeGateway) -> None:
    clock = FakeClock()
    gateway.monotonic = clock.monotonic
    async with gateway.client() as client:
        gateway.fleet.known_hosts = [an_offline_host(age_s=1.0)]
        gateway.fleet.known_instances = [WEB]
        await client.get("/api/instances")
        gateway.fleet.known_hosts = [an_offline_host(age_s=2.0)]
        clock.advance(1)

        [entry] = (await client.get("/api/instances")).json()

    assert entry["age_s"] == 2


async def test_searches_without_end_do_not_fill_the_memory(gateway: FakeGateway) -> None:
    app = gateway.app()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as client:
        for number in range(600):
            await client.get(f"/api/instances?search={number}")

    assert len(app.state.context.answers.kept) <= 256


async def test_a_field_that_no_instance_has_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/instances?fields=name,cpu")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "fields"


async def test_cursors_lead_through_the_list_whatever_comes_meanwhile(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    first = await client.get("/api/instances?limit=2")
    gateway.fleet.change(instances=[WEB, DB, WEB_TOO, a_view("aaa")])

    rest = await client.get(f"/api/instances?cursor={first.headers['x-next-cursor']}")

    assert names(first) + names(rest) == [("db", "h2"), ("web", "h1"), ("web", "h2")]
    assert "x-next-cursor" not in rest.headers


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor")]
)
async def test_what_is_no_part_of_a_list_is_refused(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    answer = await client.get(f"/api/instances?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_caller_who_has_the_list_already_is_told_so_and_no_more(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    tag = (await client.get("/api/instances")).headers["etag"]

    unchanged = await client.get("/api/instances", headers={"If-None-Match": tag})
    gateway.fleet.change(instances=[DB])
    changed = await client.get("/api/instances", headers={"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["cache-control"] == "no-store"
    assert (changed.status_code, names(changed)) == (200, [("db", "h2")])


@pytest.mark.parametrize("held", ["*", "W/{tag}", '"x", {tag}'])
async def test_a_list_is_held_under_any_spelling_of_its_tag(
    client: httpx.AsyncClient, held: str
) -> None:
    tag = (await client.get("/api/instances")).headers["etag"]

    answer = await client.get("/api/instances", headers={"If-None-Match": held.format(tag=tag)})

    assert answer.status_code == 304


async def test_the_same_list_has_the_same_tag_at_another_gateway(gateway: FakeGateway) -> None:
    async with gateway.client() as one, gateway.client() as other:
        tags = {(await each.get("/api/instances")).headers["etag"] for each in (one, other)}

    assert len(tags) == 1


@pytest.mark.parametrize("path", ["/api/instances/nix", "/api/instances/nix/resources"])
async def test_an_unknown_instance_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"detail": "实例 nix 不存在", "code": "instance_not_found"}


@pytest.mark.parametrize("path", ["/api/instances", "/api/instances/db", "/api/host/info"])
async def test_an_unknown_host_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"{path}?host=nix")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "主机 nix 不存在"


@pytest.mark.parametrize("name", ["1web", "-web", "web-", "we_b", "wéb", "w" * 64, "web%20", "a.b"])
async def test_a_name_that_lxd_would_not_have_is_refused_with_the_rule(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(f"/api/instances/{name}", headers={"Accept-Language": "en"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"
    assert "1-63 ASCII letters" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["w", "Web-2", "w" * 63])
async def test_a_name_that_lxd_would_have_is_looked_up(
    client: httpx.AsyncClient, name: str
) -> None:
    assert (await client.get(f"/api/instances/{name}")).status_code == 404


PATHS = ["/api/instances", "/api/instances/web", "/api/instances/web/resources", "/api/host/info"]


@pytest.mark.parametrize(
    "path", [*PATHS, *(f"{each}?host=nix" for each in PATHS), "/api/hosts/nix"]
)
async def test_until_the_fleet_is_read_there_is_no_half_truth(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    gateway.fleet.ready = False

    answer = await client.get(path)

    assert answer.status_code == 503
    assert answer.json()["detail"] == "LXD服务不可用"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", PATHS)
async def test_when_nothing_was_ever_heard_the_documents_text_says_so(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    unheard = a_host_view("h1", lxd_connected=False, inventory_age_s=None, sample=None)
    gateway.fleet.change(instances=[], hosts=[unheard])

    answer = await client.get(path)

    assert answer.status_code == 503
    assert answer.json()["detail"] == "LXD服务不可用"
