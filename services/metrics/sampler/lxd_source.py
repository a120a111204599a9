"""Implements `ports.LxdQueries` on a real LXD or Incus.

One request answers for all instances. An entry that cannot be read, and a request that LXD refuses,
leave the others as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import msgspec

from services.metrics.sampler.kernel_counters import Details, InstanceRefused, Space
from services.metrics.sampler.lxd_instances import InstanceWithState, instance_in
from services.metrics.sampler.lxd_metrics import details_in
from services.metrics.sampler.reading import Identity, Pools
from services.metrics.sampler.sanitize import TOO_MANY, Dropped
from shared.contracts.errors import LxdUnavailable
from shared.lxd.client import LxdClient
from shared.lxd.decoding import UNREADABLE, entries, readable_entries
from shared.lxd.errors import REFUSALS, AnswerTooLong, LxdNotFound, UnreadableAnswer
from shared.lxd.events import listen
from shared.lxd.models import (
    LifecycleEvent,
    Named,
    PoolResources,
    Profile,
    ServerInfo,
    identity_in,
    is_root_disk,
)
from shared.lxd.scope import LxdScope

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Some eight thousand instances in one answer; one guest with hundreds of thousands of addresses.
MOST_ANSWER_BYTES = 32 << 20

EVERYWHERE = {"all-projects": "true"}

# What may be wrong with one answer while others are well.
_NO_ANSWER = (*REFUSALS, UnreadableAnswer)


class LxdSource:
    """One LXD, of which the instances within a scope are sampled."""

    def __init__(self, client: LxdClient, scope: LxdScope) -> None:
        self._client = client
        self._scope = scope

    def instances(self) -> Sequence[InstanceWithState]:
        """See `LxdQueries.instances`."""
        with self._asking():
            try:
                answer = self._client.get_raw("instances", params={"recursion": 2, **EVERYWHERE})
            except AnswerTooLong:
                return self._instances_one_by_one()
            found = [instance_in(entry) for entry in entries(answer)]
        return [one for one in found if self._scope.covers(one.project, one.location)]

    def _instances_one_by_one(self) -> Sequence[InstanceWithState]:
        found = []
        for path in self._get(list[str], "instances", params=EVERYWHERE):
            with suppress(InstanceRefused):
                found.append(self.instance(*identity_in(path)))
        return [one for one in found if one and self._scope.covers(one.project, one.location)]

    def instance(self, project: str, name: str) -> InstanceWithState | None:
        """See `LxdQueries.instance`."""
        params = {"project": project, "recursion": 1}
        with self._asking():
            try:
                return instance_in(self._client.get_raw("instances", name, params=params))
            except LxdNotFound:
                return None
            except (*REFUSALS, AnswerTooLong) as exc:
                raise InstanceRefused from exc

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        """See `LxdQueries.details`; nothing where LXD has no metrics, or refuses them."""
        try:
            text = self._client.get_content("metrics")
        except AnswerTooLong:
            dropped[TOO_MANY] += 1
            return {}
        except REFUSALS as exc:
            _log.debug("lxd tells no metrics", extra={"reason": str(exc)})
            return {}
        return details_in(text.decode(errors="replace"), dropped)

    def listen(
        self, on_open: Callable[[], None], on_event: Callable[[LifecycleEvent], None]
    ) -> None:
        """Listen to LXD's events, see `shared.lxd.events.listen`; raise LxdUnavailable."""
        with self._asking():
            listen(self._client, self._scope, on_open, on_event)

    def pools(self) -> Pools:
        """See `LxdQueries.pools`; those whose space LXD does not know are left out."""
        with self._asking():
            spaces = {name: self._space(name) for name in self._pool_names()}
            known = {name: space for name, space in spaces.items() if space is not None}
            # Asked last: an LXD that has gone away meanwhile is told from pools that do not answer.
            return Pools(known, default=self._default_pool())

    def _pool_names(self) -> list[str]:
        try:
            answer = self._client.get_raw("storage-pools", params={"recursion": 1})
        except REFUSALS as exc:
            _log.debug("lxd tells no storage pools", extra={"reason": str(exc)})
            return []
        with suppress(UnreadableAnswer):
            return [pool.name for pool in readable_entries(answer, Named)]
        return []

    def _space(self, pool: str) -> Space | None:
        try:
            space = self._get(PoolResources, "storage-pools", pool, "resources").space
        except (*_NO_ANSWER, LxdUnavailable):
            return None  # a pool that is broken or cannot tell must not hide the others
        return None if space.used is None else Space(space.used, space.total)

    def _default_pool(self) -> str:
        try:
            devices = self._get(Profile, "profiles", "default").devices.values()
        except _NO_ANSWER:
            return ""
        return next((one.get("pool", "") for one in devices if is_root_disk(one)), "")

    def _get(self, kind: type[T], *path: str, params: Mapping[str, object] | None = None) -> T:
        answer = self._client.get_raw(*path, params=params)
        try:
            return msgspec.json.decode(answer, type=kind)
        except UNREADABLE as exc:
            raise UnreadableAnswer(str(exc)) from exc

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            if self._scope.member is None:
                server = self._get(ServerInfo).environment
                self._scope.learn(server.server_name, clustered=server.server_clustered)
            yield
        except _NO_ANSWER as exc:
            raise LxdUnavailable(self._client.host) from exc
