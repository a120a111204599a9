"""Runs the worker of one host: `python -m services.lxd_worker`."""
# The other imports must find a green standard library.
# ruff: noqa: E402

from __future__ import annotations

from shared.platform.run.eventlet_patch import patch

patch()

from services.lxd_worker.process_lock import hold_process_lock
from services.lxd_worker.service import OpenJournal, service_for
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from services.lxd_worker.wiring import open_journal
from shared.contracts.worker_api import SERVICE
from shared.platform import logs
from shared.platform.run.background_loop import touch_liveness_file
from shared.platform.run.metrics_listener import listener_or_exit, serve_metrics
from shared.platform.run.runner import serve
from shared.platform.settings import settings_or_exit, state_dir_or_exit


def main(journal: OpenJournal = open_journal) -> None:
    """Serve until SIGTERM; exit with a line for each problem when the settings are wrong."""
    settings = settings_or_exit(Settings.from_env)
    listener = listener_or_exit(settings.metrics_bind)
    logs.set_up(SERVICE, settings.log_level)
    telemetry = WorkerTelemetry()
    state_dir = state_dir_or_exit(settings.state_dir)
    with (
        hold_process_lock(state_dir),
        touch_liveness_file(state_dir),
        serve_metrics(listener, telemetry.registry),
    ):
        serve(service_for(settings, telemetry, journal), settings.amqp_uri)


if __name__ == "__main__":
    main()
