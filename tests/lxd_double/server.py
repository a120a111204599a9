"""The double as tests use it: a daemon in a thread of its own, behind a unix socket.

All of its state lives on its own event loop; the methods here may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.lxd_double.api import Api
from tests.lxd_double.faults import Faults
from tests.lxd_double.instances import DoubledInstance
from tests.lxd_double.projects import Projects

T = TypeVar("T")

FINGERPRINT = "d0" * 32


class LxdDouble:
    """An LXD that listens at a unix socket while the `with` block runs.

    With a `member` it is that member of a cluster. `faults` may be changed at any time, `requests`
    tells what was asked for, oldest first. The process that uses it must not be monkey-patched by
    eventlet: its thread would be none.
    """

    def __init__(self, socket: Path, *, fingerprint: str = FINGERPRINT, member: str = "") -> None:
        self.socket = socket
        self.faults = Faults()
        self.requests: list[str] = []
        self._projects = Projects(self.faults)
        self._daemon = self._projects.default
        self._fingerprint = fingerprint
        self._member = member
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lxd-double")
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.go_away()
        self._run(_let_tasks_end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def come_back(self) -> None:
        """Listen at the socket; the instances are what they were."""
        self._run(self._listen())

    def go_away(self) -> None:
        """Close the socket and all connections, and forget all operations, as when killed."""
        self._run(self._stop_listening())

    def add(self, instance: DoubledInstance) -> DoubledInstance:
        """Put an instance there without an operation or event, as if it always was."""
        self.add_all([instance])
        return instance

    def add_all(self, instances: Iterable[DoubledInstance]) -> None:
        """Put many instances there."""
        self._call(lambda: self._projects.add(instances))

    def instance(self, name: str) -> DoubledInstance:
        """Return an instance, whose use may be set; raise `Refused` where there is none."""
        return self._call(lambda: self._daemon.instance(name))

    def names(self) -> set[str]:
        """Return the names of all instances, made or half-made."""
        return self._call(lambda: set(self._daemon.instances))

    def change_state(self, name: str, action: str, *, force: bool = True) -> None:
        """Do to an instance what somebody else's request would, and wait for its end."""

        async def change() -> None:
            operation = self._daemon.change_state(name, action, force, -1)
            await operation.ended.wait()

        self._run(change())

    def emit(self, metadata: Any) -> None:
        """Tell of a lifecycle event, whatever it is."""
        self._call(lambda: self._daemon.events.emit("lifecycle", metadata))

    def _call(self, what: Callable[[], T]) -> T:
        async def call() -> T:
            return what()

        return self._run(call())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        server = _server(self._fingerprint, self._member)
        api = Api(self._projects, self.faults, server, self.requests)
        runner = web.AppRunner(api.application(), shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(runner, str(self.socket)).start()
        self._runner = runner

    async def _stop_listening(self) -> None:
        self._daemon.operations.forget_all()
        self.socket.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def _let_tasks_end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*others, return_exceptions=True)


def _server(fingerprint: str, member: str) -> dict[str, Any]:
    return {
        "config": {},
        "api_extensions": ["instances", "etag", "patch", "instance_get_full", "virtual-machines"],
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "trusted",
        "public": False,
        "auth_methods": ["tls"],
        "environment": {
            "addresses": [],
            "architectures": ["x86_64", "i686"],
            "certificate": "",
            "certificate_fingerprint": fingerprint,
            "driver": "lxc | qemu",
            "driver_version": "5.0.2 | 7.2.0",
            "firewall": "nftables",
            "kernel": "Linux",
            "kernel_architecture": "x86_64",
            "kernel_version": "6.1.0",
            "os_name": "Debian GNU/Linux",
            "os_version": "12",
            "project": "default",
            "server": "lxd",
            "server_clustered": bool(member),
            "server_name": member or "double",
            "server_pid": 1,
            "server_version": "5.0.2",
            "storage": "dir",
            "storage_version": "1",
        },
    }
