"""Creates, changes and deletes policies.

Each of its methods is safe to repeat, because a call is served again if the copy that served it was
killed before it answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from shared.contracts.codec import encode, own_version
from shared.contracts.errors import (
    InvalidInput,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
)
from shared.contracts.policies import MOST_POLICIES, Policy
from shared.contracts.policy_api import PolicyList
from shared.policies import rules
from shared.policies.plan import MOST_PLAN_BYTES, size_in_plan
from shared.policies.validation import check_policy

T = TypeVar("T")

LONGEST_ID = 64
# Of all policies, also disabled ones: they are one answer to a gateway.
MOST_BYTES = 4 * 2**20


class Policies(Protocol):
    """The stored policies, within one transaction."""

    def find(self, policy_id: str) -> Policy | None:
        """Return a policy by its id; raises UnreadableMessage."""

    def id_of(self, name: str) -> str | None:
        """Return the id of the policy of this name, readable or not."""

    def all(self) -> list[Policy]:
        """Return all policies that can be read, by name."""

    def count(self) -> int:
        """Return how many there are."""

    def put(self, policy: Policy) -> Policy:
        """Insert or replace a policy; return it."""

    def remove(self, policy_id: str) -> bool:
        """Delete a policy, readable or not; return whether it was there."""


class CentralPolicyStore(Protocol):
    """Transactions over the stored policies; both methods raise DatabaseUnavailable."""

    def read(self, work: Callable[[Policies], T]) -> T:
        """Return what `work` makes of the policies."""

    def change(self, work: Callable[[Policies], T]) -> T:
        """The same, while nobody else changes them; an error leaves them as they were."""


class CentralPolicies:
    """The use cases; `changed` is called after each change."""

    def __init__(self, store: CentralPolicyStore, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed

    def create(self, policy: Policy) -> Policy:
        """See `SnapshotsClient.create`."""
        _check(policy)
        return self._change(lambda stored: _create(stored, replace(policy, revision=1)))

    def update(self, policy: Policy) -> Policy:
        """See `SnapshotsClient.update`."""
        _check(policy)
        return self._change(lambda stored: _update(stored, policy))

    def delete(self, policy_id: str, revision: int) -> None:
        """See `SnapshotsClient.delete`."""
        self._change(lambda stored: _delete(stored, policy_id, revision))

    def policies(self) -> PolicyList:
        """Return all policies, by name."""
        return PolicyList(policies=self._store.read(lambda stored: stored.all()))

    def _change(self, work: Callable[[Policies], T]) -> T:
        result = self._store.change(work)
        self._changed()
        return result


def _create(stored: Policies, policy: Policy) -> Policy:
    policy = _in_own_version(policy)
    same = stored.find(policy.id)
    if same == policy:
        return policy
    if same or stored.id_of(policy.name):
        raise PolicyExists(policy.name)
    if stored.count() >= MOST_POLICIES:
        raise InvalidInput("policies", rules.COUNT)
    _check_room(stored, policy)
    return stored.put(policy)


def _update(stored: Policies, policy: Policy) -> Policy:
    present = stored.find(policy.id)
    if present is None:
        raise PolicyNotFound(policy.id)
    changed = _in_own_version(replace(policy, revision=policy.revision + 1))
    if present == changed:
        return present
    if present.revision != policy.revision:
        raise PolicyChangedSince(policy.name)
    if stored.id_of(policy.name) not in (None, policy.id):
        raise PolicyExists(policy.name)
    _check_room(stored, changed)
    return stored.put(changed)


def _delete(stored: Policies, policy_id: str, revision: int) -> None:
    present = stored.find(policy_id) if revision else None
    if present and present.revision != revision:
        raise PolicyChangedSince(present.name)
    if not stored.remove(policy_id):
        raise PolicyNotFound(policy_id)


def _check(policy: Policy) -> None:
    if not 0 < len(policy.id) <= LONGEST_ID:
        raise InvalidInput("id", f"1 to {LONGEST_ID} characters")
    check_policy(policy)


def _check_room(stored: Policies, policy: Policy) -> None:
    """Raise InvalidInput if all policies are too large with this one, unless it makes them smaller.

    A host answers no call that is too large, and so would go on with the plan that it has.
    """
    others = stored.all()
    before = next((each for each in others if each.id == policy.id), None)
    others = [each for each in others if each.id != policy.id]
    for size, most, rule in (
        (_size_enabled, MOST_PLAN_BYTES, rules.PLAN_SIZE),
        (_size, MOST_BYTES, rules.ALL_SIZE),
    ):
        grows = before is None or size(policy) > size(before)
        if grows and sum(map(size, others)) + size(policy) > most:
            raise InvalidInput("policies", rule)


def _size_enabled(policy: Policy) -> int:
    return size_in_plan(policy) if policy.enabled else 0


def _size(policy: Policy) -> int:
    return len(encode(policy))


def _in_own_version(policy: Policy) -> Policy:
    return replace(policy, version=own_version(Policy))
