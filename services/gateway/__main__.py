"""Runs the gateway: settings from the environment, one server on all addresses, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack

import uvicorn

from services.gateway import wiring
from services.gateway.clock import Clock
from services.gateway.gc_pauses import short_pauses
from services.gateway.http import create_app
from services.gateway.http.server import GatewayServer, config, connection_limit, limits, listen
from services.gateway.service import running
from services.gateway.settings import Settings
from shared.contracts.errors import DatabaseUnavailable
from shared.platform import logs
from shared.platform.settings import settings_or_exit

log = logging.getLogger(__name__)


def main() -> None:
    """Run the gateway; exit with 2 for wrong settings, 1 when it cannot start."""
    settings = settings_or_exit(Settings.from_env)
    logs.set_up("gateway", settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (DatabaseUnavailable, OSError) as exc:
        sys.stderr.write(f"the gateway cannot start: {exc}\n")
        sys.exit(1)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    clock = Clock(monotonic=time.monotonic, wall=time.time)
    parts = wiring.build(settings, clock)
    limit = connection_limit(settings.http, parts.telemetry)
    listening = listen(settings.http, limit)
    app = create_app(
        fleet=parts.fleet,
        operations=parts.operations,
        creations=parts.creations,
        snapshots=parts.snapshots,
        policies=parts.policies,
        logs=parts.logs,
        consoles=parts.consoles,
        hosts=parts.hosts,
        health=parts.health,
        telemetry=parts.telemetry,
        settings=settings.http,
    )
    allowed = limits(settings.http)
    server = GatewayServer(config(app, settings.http, allowed), limit, allowed)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, server)
    async with AsyncExitStack() as stack:
        stack.enter_context(short_pauses())
        await stack.enter_async_context(running(parts, settings, clock))
        # Held, as the loop holds tasks weakly.
        searches = asyncio.create_task(app.state.context.prepare_searches())
        stack.callback(searches.cancel)
        log.info("listening", extra={"addresses": [f"{a}:{p}" for a, p in settings.http.binds]})
        await server.serve(sockets=listening)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


if __name__ == "__main__":
    main()
