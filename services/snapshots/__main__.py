"""Runs a copy of the service: `lxdfleet-snapshots`, or `python -m services.snapshots`."""
# ruff: noqa: E402 - modules imported before the patch would keep the blocking calls

from __future__ import annotations

from shared.platform.run.eventlet_patch import patch

patch()

from services.snapshots.service import service_for
from services.snapshots.settings import Settings
from services.snapshots.telemetry import SnapshotsTelemetry
from services.snapshots.wiring import Snapshots
from shared.contracts.policy_api import SERVICE
from shared.platform import logs
from shared.platform.run.background_loop import touch_liveness_file
from shared.platform.run.metrics_listener import listener_or_exit, serve_metrics
from shared.platform.run.runner import serve
from shared.platform.settings import settings_or_exit, state_dir_or_exit

# Calls that are served at the same time. Each waits for the database, which serves one after the
# other.
MOST_CALLS = 50


def main() -> None:
    """Serve until SIGTERM; exit with a line for each problem when the settings are wrong."""
    settings = settings_or_exit(Settings.from_env)
    listener = listener_or_exit(settings.metrics_bind)
    logs.set_up(SERVICE, settings.log_level)
    telemetry = SnapshotsTelemetry()
    with (
        touch_liveness_file(state_dir_or_exit(settings.state_dir)),
        serve_metrics(listener, telemetry.registry),
    ):
        snapshots = Snapshots(settings, telemetry)
        # Until then SIGTERM ends the process at once: it has nothing to stop.
        snapshots.migrate()
        serve(service_for(snapshots), settings.amqp_uri, max_workers=MOST_CALLS)


if __name__ == "__main__":
    main()
