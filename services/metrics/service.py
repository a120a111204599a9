"""The sampler as a nameko service, without RPC: it only publishes."""

from __future__ import annotations

from services.metrics.sampler.interval_timer import rounds
from services.metrics.settings import Settings
from services.metrics.telemetry import SamplerTelemetry
from services.metrics.wiring import SamplingProvider


def service(settings: Settings, telemetry: SamplerTelemetry) -> type:
    """Return the nameko service that samples this host."""

    class Sampler:
        """One host's sampler."""

        name = f"metrics_sampler.{settings.host}"
        sampling = SamplingProvider(settings, telemetry)

        @rounds(settings.interval_s)  # type: ignore[untyped-decorator]
        def sample(self) -> None:
            """Take one sample."""
            with telemetry.round.time():
                self.sampling.take()

    return Sampler
