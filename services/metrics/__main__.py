"""Run the sampler of this host: `lxdfleet-sampler`, or `python -m services.metrics`."""
# ruff: noqa: E402 - modules imported before the patch would keep the blocking calls

from __future__ import annotations

from shared.platform.run.eventlet_patch import patch

patch()

from services.metrics.service import service
from services.metrics.settings import Settings
from services.metrics.telemetry import SamplerTelemetry
from shared.platform.logs import set_up
from shared.platform.run.background_loop import touch_liveness_file
from shared.platform.run.metrics_listener import listener_or_exit, serve_metrics
from shared.platform.run.runner import serve
from shared.platform.settings import settings_or_exit, state_dir_or_exit


def main() -> None:
    """Sample until SIGTERM; if the settings are invalid, print each problem and exit."""
    settings = settings_or_exit(Settings.from_env)
    listener = listener_or_exit(settings.metrics_bind)
    set_up("sampler", settings.log_level)
    telemetry = SamplerTelemetry()
    with (
        touch_liveness_file(state_dir_or_exit(settings.state_dir)),
        serve_metrics(listener, telemetry.registry),
    ):
        serve(service(settings, telemetry), settings.amqp_uri)


if __name__ == "__main__":
    main()
