"""LXD as the sampler asks and hears it; the only border where pylxd and its errors exist.

pylxd's objects would ask once more for each instance. Its raw API takes the one request that
answers for all, and msgspec reads from the answer no more than is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import requests
from pylxd import EventType
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException, NotFound
from ws4py.exc import WebSocketException

from services.metrics.domain.described import DescribedInstance, Space
from services.metrics.domain.lifecycle import LxdEvent
from services.metrics.domain.lxd_metrics import details_in
from services.metrics.domain.reading import Identity, Pools
from services.metrics.domain.usage import Details
from shared.contracts.errors import LxdUnavailable
from shared.platform.lxd_events import all_projects, reader
from shared.platform.lxd_scope import LxdScope
from shared.platform.lxd_session import lxd_client

T = TypeVar("T")

_AWAY = (
    ClientConnectionFailed,
    LXDAPIException,
    OSError,  # requests' own errors too
    WebSocketException,
    msgspec.MsgspecError,
)


class _Answer(msgspec.Struct):
    metadata: msgspec.Raw


class _Environment(msgspec.Struct, frozen=True):
    server_name: str = ""
    server_clustered: bool = False


class _About(msgspec.Struct):
    environment: _Environment = _Environment()


class _Pool(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    space: Space


class _Profile(msgspec.Struct):
    devices: dict[str, dict[str, str]] = {}


class LxdOverSocket:
    """One LXD; it is connected to when first needed, so it may be away at our start."""

    def __init__(self, host: str, socket: Path, timeout_s: float, scope: LxdScope) -> None:
        self._host = host
        self._scope = scope
        self._socket = str(socket)
        self._timeout_s = timeout_s
        self._client: Any = None

    def instances(self) -> Sequence[DescribedInstance]:
        """Return all instances of this host with their state; raise LxdUnavailable."""
        with self._border():
            everywhere = {"all-projects": "true"}
            found = self._get(list[DescribedInstance], "instances", recursion=2, **everywhere)
        return [one for one in found if self._scope.covers(one.project, one.location)]

    def instance(self, project: str, name: str) -> DescribedInstance | None:
        """Return one instance with its state, None if there is none; raise LxdUnavailable."""
        with self._border():
            try:
                path = ("instances", quote(name, safe=""))
                return self._get(DescribedInstance, *path, project=project, recursion=1)
            except LXDAPIException as exc:
                if exc.response.status_code != requests.codes.not_found:
                    raise
                return None

    def details(self) -> Mapping[Identity, Details]:
        """Return what LXD's metrics tell, nothing where it has none; raise LxdUnavailable."""
        with self._border():
            try:
                return details_in(self._connected().api.metrics.get(is_api=False).text)
            except NotFound:
                return {}

    def listen(self, opened: Callable[[], None], heard: Callable[[LxdEvent], None]) -> None:
        """Call `opened` when LXD has begun to tell, `heard` for each event, until LXD goes away.

        Raises LxdUnavailable when it does not begin or breaks off; returns when LXD ends it.
        Neither function may wait for anything.
        """

        def heard_here(event: LxdEvent) -> None:
            if self._scope.covers(event.project, event.location):
                heard(event)

        with self._border():
            events = self._connected().events(reader(LxdEvent, heard_here), {EventType.Lifecycle})
            socket = all_projects(events)
            socket.connect()
            opened()
            socket.run()

    def pools(self) -> Pools:
        """Return the space of the storage pools that tell it; raise LxdUnavailable."""
        with self._border():
            names = [pool.name for pool in self._get(list[_Pool], "storage-pools", recursion=1)]
            spaces = {name: self._space(name) for name in names}
            known = {name: space for name, space in spaces.items() if space is not None}
            return Pools(known, default=self._default_pool())

    def _space(self, pool: str) -> Space | None:
        try:
            return self._get(_Resources, "storage-pools", pool, "resources").space
        except LXDAPIException:
            return None  # a pool that is broken or cannot tell must not hide the others

    def _default_pool(self) -> str:
        profile = self._get(_Profile, "profiles", "default")
        roots = [each for each in profile.devices.values() if each.get("path") == "/"]
        return roots[0].get("pool", "") if roots else ""

    def _get(self, kind: type[T], *path: str, **params: int | str) -> T:
        node = self._connected().api
        for part in path:
            node = node[part]
        answer = msgspec.json.decode(node.get(params=params).content, type=_Answer)
        return msgspec.json.decode(answer.metadata, type=kind)

    def _connected(self) -> Any:
        if self._client is None:
            self._client = lxd_client(self._socket, self._timeout_s)
            about = msgspec.convert(self._client.host_info, _About).environment
            self._scope.learn(about.server_name, clustered=about.server_clustered)
        return self._client

    @contextmanager
    def _border(self) -> Iterator[None]:
        try:
            yield
        except _AWAY as exc:
            raise LxdUnavailable(self._host) from exc
