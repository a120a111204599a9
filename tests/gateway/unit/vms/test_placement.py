from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.vms.placement import (
    RULES,
    Candidate,
    NoHostFits,
    Placement,
    Requirements,
    Rule,
    Shortfall,
    place,
)
from services.gateway.vms.templates import Template
from shared.contracts.hosts import Capacity, Network
from shared.contracts.instance_config import ImageSource
from tests.support.builders import GIB, MIB, a_description
from tests.support.views import a_host_view

BUSYBOX = ImageSource(alias="busybox")
NEEDS = Requirements(Template("bb", "busybox", (BUSYBOX,)), "container", Amount(2, GIB, 10 * GIB))


def a_candidate(
    host: str = "h1",
    *,
    cpu: int = 8,
    memory: int = 16 * GIB,
    promised: Amount = Amount(),  # noqa: B008
    instances: int = 0,
    **changes: object,
) -> Candidate:
    room = Capacity(cpu=cpu, memory=memory, disk=100 * GIB)
    told = msgspec.structs.replace(a_description(capacity=room), **changes)
    return Candidate(a_host_view(host, resources=told), promised, instances)


def lacks(needs: Requirements, *candidates: Candidate) -> dict[str, list[Shortfall]]:
    with pytest.raises(NoHostFits) as refused:
        place(needs, candidates, "most_free_memory")
    return {host: list(missing) for host, missing in refused.value.lacks.items()}


def test_the_only_able_host_is_taken_and_the_reason_told() -> None:
    found = place(NEEDS, [a_candidate(instances=3)], "most_free_memory")

    reason = "most_free_memory: 16384 MiB of memory, 8 CPUs free and 3 instances on h1, of 1 able"
    assert found == Placement("h1", "container", BUSYBOX, reason)


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [("most_free_memory", "roomy"), ("most_free_cpu", "fast"), ("fewest_instances", "quiet")],
)
def test_each_rule_prefers_another_host(rule: Rule, chosen: str) -> None:
    candidates = [
        a_candidate("fast", cpu=64, instances=5),
        a_candidate("quiet", instances=1),
        a_candidate("roomy", memory=64 * GIB, instances=5),
    ]

    assert place(NEEDS, candidates, rule).host == chosen


def test_a_host_that_has_refused_is_not_chosen_again_and_the_reason_tells_of_it() -> None:
    candidates = [a_candidate("h1"), a_candidate("h2"), a_candidate("h3", cpu=1)]
    refused = {
        "h1": [Shortfall("memory", GIB, 7 * MIB)],
        "h0": [Shortfall("image"), Shortfall("network")],
    }

    found = place(NEEDS, candidates, "most_free_memory", refused)

    assert found.host == "h2"
    assert found.reason.endswith(
        "on h2, of 1 able; refused by h1: memory (1024 > 7 MiB); h0: image, network"
    )


@pytest.mark.attack
def test_a_reason_names_few_of_those_that_have_refused() -> None:
    refused = {f"host-{number}": [Shortfall("memory", GIB, 1)] for number in range(1000)}

    reason = place(NEEDS, [a_candidate("h1")], None, refused).reason

    assert "host-4: memory" in reason
    assert reason.endswith("… (+995); memory 1000")
    assert len(reason) < 500


def test_when_all_have_refused_each_lacks_what_it_said() -> None:
    refused = {"h1": [Shortfall("ports", 2, 1)], "h2": [Shortfall("connection")]}

    with pytest.raises(NoHostFits) as none:
        place(NEEDS, [a_candidate("h1"), a_candidate("h2")], None, refused)

    assert none.value.lacks == refused
    assert none.value.summary == "h1: ports (2 > 1); h2: connection"


def test_what_is_promised_counts_as_taken() -> None:
    candidates = [a_candidate("h1", promised=Amount(0, GIB, 0)), a_candidate("h2")]

    assert place(NEEDS, candidates, "most_free_memory").host == "h2"


def test_of_hosts_with_as_much_memory_the_one_with_more_cpus_is_taken() -> None:
    candidates = [a_candidate("h1"), a_candidate("h2", cpu=9)]

    assert place(NEEDS, candidates, "most_free_memory").host == "h2"


@pytest.mark.parametrize("rule", RULES)
def test_of_equal_hosts_the_first_by_id_is_taken(rule: Rule) -> None:
    assert place(NEEDS, [a_candidate("h2"), a_candidate("h1")], rule).host == "h1"


def test_a_full_host_says_how_much_is_left_of_what() -> None:
    full = a_candidate(promised=Amount(7, 16 * GIB - 512 * MIB, 100 * GIB))

    assert lacks(NEEDS, full) == {
        "h1": [
            Shortfall("cpu", 2, 1),
            Shortfall("memory", GIB, 512 * MIB),
            Shortfall("disk", 10 * GIB, 0),
        ]
    }


@pytest.mark.parametrize("coming", [0, 1])
def test_a_host_without_room_in_the_fleet_s_lists_says_so(coming: int) -> None:
    known = replace(a_candidate().view, instances=7, headroom=coming)
    crowded = replace(a_candidate(), view=known, instances=7 + coming)

    assert lacks(NEEDS, crowded) == {"h1": [Shortfall("room")]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"template": Template("x", "", (ImageSource(alias="nix"),))}, "image"),
        ({"type": "virtual-machine"}, "image"),
        ({"network": "br9"}, "network"),
        ({"project": "shop"}, "project"),
        ({"ports": True}, "ports"),
    ],
)
def test_what_a_host_does_not_have_is_named(change: dict[str, object], what: str) -> None:
    needs = replace(NEEDS, **change)  # type: ignore[arg-type]

    assert lacks(needs, a_candidate()) == {"h1": [Shortfall(what)]}


def test_a_host_that_may_not_use_an_image_server_lacks_its_images() -> None:
    needs = replace(NEEDS, template=Template("x", "", (ImageSource(remote="lab", alias="x"),)))
    allowed, other, older = (a_candidate(host) for host in ("allowed", "other", "older"))
    allowed = replace(allowed, view=replace(allowed.view, remote_images={"lab": None}))
    other = replace(other, view=replace(other.view, remote_images={"images": {}}))

    assert lacks(needs, other) == {"other": [Shortfall("image")]}
    assert place(needs, [allowed, other]).host == "allowed"
    assert place(needs, [older]).host == "older"


@pytest.mark.parametrize(
    "change", [{"lxd_connected": False}, {"trusted": False}, {"resources": None}]
)
def test_a_host_that_cannot_be_told_anything_lacks_its_connection(change: dict[str, bool]) -> None:
    candidate = a_candidate()
    away = replace(candidate, view=replace(candidate.view, **change))

    assert lacks(NEEDS, away) == {"h1": [Shortfall("connection")]}


def test_a_host_with_a_pool_a_bridge_and_the_project_is_able() -> None:
    needs = replace(NEEDS, network="br0", project="shop", ports=True)
    able = a_candidate(
        "h2",
        address="203.0.113.5",
        projects=["default", "shop"],
        networks=[Network(name="br0", type="bridge", managed=False)],
    )

    assert place(needs, [a_candidate("h1"), able], "most_free_memory").host == "h2"


def test_the_error_tells_of_every_host() -> None:
    with pytest.raises(NoHostFits) as refused:
        place(NEEDS, [a_candidate("h1", cpu=1), a_candidate("h2", images=[])], "most_free_memory")

    assert str(refused.value) == "no host can take it: h1: cpu (2 > 1); h2: image"
