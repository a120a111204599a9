"""Creating, changing and deleting policies, among policies in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from services.snapshots.policies.service import CentralPolicies
from shared.contracts.bounds import MOST
from shared.contracts.codec import encode, to_wire
from shared.contracts.errors import (
    InvalidInput,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
)
from shared.contracts.instance_config import GuestCommand
from shared.contracts.policies import MOST_POLICIES, Policy, Retention, Schedule
from shared.platform.bus.checked_rpc import LARGEST_CALL
from shared.policies import rules
from shared.policies.plan import MOST_PLAN_BYTES, plan_for
from tests.support.snapshots import a_policy

T = TypeVar("T")


class PoliciesInMemory:
    """Implements both protocols of the service."""

    def __init__(self) -> None:
        self.stored: dict[str, Policy] = {}

    def read(self, work: Callable[[PoliciesInMemory], T]) -> T:
        return work(self)

    def change(self, work: Callable[[PoliciesInMemory], T]) -> T:
        before = dict(self.stored)
        try:
            return work(self)
        except BaseException:
            self.stored = before
            raise

    def find(self, policy_id: str) -> Policy | None:
        return self.stored.get(policy_id)

    def id_of(self, name: str) -> str | None:
        return next((each.id for each in self.stored.values() if each.name == name), None)

    def all(self) -> list[Policy]:
        return sorted(self.stored.values(), key=lambda each: each.name)

    def count(self) -> int:
        return len(self.stored)

    def put(self, policy: Policy) -> Policy:
        self.stored[policy.id] = policy
        return policy

    def remove(self, policy_id: str) -> bool:
        return self.stored.pop(policy_id, None) is not None


class Bench:
    """The service over policies in memory; `changes` counts what it announced."""

    def __init__(self) -> None:
        self.memory = PoliciesInMemory()
        self.changes = 0
        self.service = CentralPolicies(self.memory, self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_policy_begins_with_its_first_revision_whatever_its_caller_says(bench: Bench) -> None:
    created = bench.service.create(a_policy(revision=7, version="1.9"))

    assert (created.revision, created.version) == (1, Policy.__struct_defaults__[-1])
    assert bench.service.policies().policies == [created]
    assert bench.changes == 1


def test_the_same_request_again_changes_nothing(bench: Bench) -> None:
    created = bench.service.create(a_policy())
    assert bench.service.create(a_policy()) == created

    changed = replace(created, description="other")
    updated = bench.service.update(changed)
    assert updated.revision == 2
    # Its answer was lost, and the caller, or the broker, sends the same again.
    assert bench.service.update(changed) == updated


def test_a_name_and_an_id_belong_to_one_policy(bench: Bench) -> None:
    bench.service.create(a_policy("nightly"))
    other = bench.service.create(a_policy("hourly"))

    with pytest.raises(PolicyExists):
        bench.service.create(a_policy("nightly", id="another"))
    with pytest.raises(PolicyExists):
        bench.service.create(a_policy("nightly", description="not the same"))
    with pytest.raises(PolicyExists):
        bench.service.update(replace(other, name="nightly"))
    assert [each.name for each in bench.service.policies().policies] == ["hourly", "nightly"]


def test_who_has_read_an_older_revision_changes_and_deletes_nothing(bench: Bench) -> None:
    first = bench.service.create(a_policy())
    second = bench.service.update(replace(first, description="second"))

    with pytest.raises(PolicyChangedSince):
        bench.service.update(replace(first, description="third"))
    with pytest.raises(PolicyChangedSince):
        bench.service.delete(first.id, first.revision)
    assert bench.service.policies().policies == [second]

    bench.service.delete(second.id, second.revision)
    assert bench.service.policies().policies == []


def test_any_revision_is_deleted_by_a_revision_of_zero(bench: Bench) -> None:
    first = bench.service.create(a_policy())
    bench.service.update(replace(first, description="second"))

    bench.service.delete(first.id, 0)

    assert bench.service.policies().policies == []


def test_what_is_not_there_is_neither_changed_nor_deleted(bench: Bench) -> None:
    with pytest.raises(PolicyNotFound):
        bench.service.update(a_policy())
    with pytest.raises(PolicyNotFound):
        bench.service.delete("id-nightly", 0)
    assert bench.changes == 0


@pytest.mark.parametrize(
    "policy",
    [
        a_policy(id=""),
        a_policy(id="x" * 65),
        a_policy(schedule=Schedule(cron="0 0 30 2 *")),
        a_policy(retention=Retention()),
        a_policy(pattern="../{time}"),
    ],
    ids=["no id", "a long id", "never", "keeps nothing", "a path"],
)
def test_what_is_wrong_with_a_policy_is_refused_before_anything_is_stored(
    bench: Bench, policy: Policy
) -> None:
    with pytest.raises(InvalidInput):
        bench.service.create(policy)

    stored = bench.service.create(a_policy("good"))
    with pytest.raises(InvalidInput):
        bench.service.update(replace(policy, id=policy.id and stored.id * 20, name="bad"))
    assert bench.service.policies().policies == [stored]


@pytest.mark.attack
def test_there_are_no_more_policies_than_a_plan_can_hold(bench: Bench) -> None:
    for number in range(MOST_POLICIES):
        bench.memory.put(a_policy(f"p{number}"))

    with pytest.raises(InvalidInput, match=str(MOST_POLICIES)):
        bench.service.create(a_policy("one-more"))


SCRIPT = "x" * 6000


def with_scripts(name: str, **changes: Any) -> Policy:
    """Return a policy of about 12 KiB."""
    script = GuestCommand(command=("sh", "-c", SCRIPT))
    return a_policy(name, **({"pre": script, "post": script} | changes))


def test_enabled_policies_are_refused_before_a_worker_would_drop_their_plan(bench: Bench) -> None:
    refused = fill(bench, with_scripts)

    assert refused.args == ("policies", rules.PLAN_SIZE)
    policies = bench.service.policies().policies
    plan = plan_for("h1", policies, ["h1"], 4, 64, MOST, "1796000000.000")
    assert MOST_PLAN_BYTES - 2 * len(SCRIPT) - 1000 < len(encode(plan)) < LARGEST_CALL
    body = msgspec.json.encode({"args": [to_wire(plan)], "kwargs": {}})
    assert len(body) <= LARGEST_CALL


def test_a_full_set_of_policies_can_still_be_made_smaller(bench: Bench) -> None:
    fill(bench, with_scripts)
    fill(bench, lambda name: a_policy(f"small-{name}"))
    one = bench.service.policies().policies[0]

    with pytest.raises(InvalidInput):
        bench.service.update(replace(one, post=GuestCommand(command=("sh", "-c", "y" * 9000))))
    disabled = bench.service.update(replace(one, enabled=False))
    bench.service.create(with_scripts("another"))
    with pytest.raises(InvalidInput):
        bench.service.update(replace(disabled, enabled=True))


def test_plain_policies_and_their_descriptions_all_find_room(bench: Bench) -> None:
    for number in range(MOST_POLICIES):
        bench.memory.put(a_policy(f"p{number}", description="d" * 600))
    plan = plan_for("h1", bench.memory.all(), ["h1"], 4, 64, MOST, "1796000000.000")

    changed = bench.service.update(replace(bench.memory.all()[0], description="d" * 601))

    assert changed.revision == 2
    assert len(encode(plan)) < MOST_PLAN_BYTES
    assert {each.description for each in plan.policies} == {""}


def test_disabled_policies_are_bounded_too_as_all_are_one_answer(bench: Bench) -> None:
    refused = fill(bench, lambda name: with_scripts(name, enabled=False))

    assert refused.args == ("policies", rules.ALL_SIZE)


def fill(bench: Bench, policy: Callable[[str], Policy]) -> InvalidInput:
    """Create policies until one is refused; return why."""
    try:
        for number in range(MOST_POLICIES):
            bench.service.create(policy(f"p{number}"))
    except InvalidInput as refused:
        return refused
    raise AssertionError("none was refused")
