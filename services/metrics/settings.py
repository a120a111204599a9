"""The sampler's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.lxd.scope import ALL, lxd_projects
from shared.platform.host_settings import host_id, lxd_socket
from shared.platform.settings import Bind, EnvReader


@dataclass(frozen=True, slots=True)
class Settings:
    """The sampler's variables, checked.

    `state_dir` holds the epoch and belongs to one host id. `interval_s` is between two samples, at
    least one second; `lxd_interval_s` between two requests for what only LXD has. Prometheus finds
    metrics at `metrics_bind`, None: nowhere. Instances in `lxd_projects` are measured, `*`: all.
    """

    amqp_uri: str
    host: str
    lxd_socket: Path
    state_dir: Path
    interval_s: float
    lxd_interval_s: float
    lxd_timeout_s: float
    log_level: str
    metrics_bind: Bind | None = None
    lxd_projects: tuple[str, ...] = (ALL,)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read `FLEET_*`; raise `SettingsError` that lists all problems at once."""
        reader = EnvReader(env)
        settings = cls(
            amqp_uri=reader.amqp_uri(),
            host=host_id(reader),
            lxd_socket=Path(lxd_socket(reader, env)),
            state_dir=Path(reader.text("FLEET_STATE_DIR", "/var/lib/lxdfleet/sampler")),
            interval_s=reader.number("FLEET_SAMPLE_INTERVAL_S", 5, least=1, most=3600),
            lxd_interval_s=reader.number("FLEET_LXD_INTERVAL_S", 60, least=1, most=3600),
            lxd_timeout_s=reader.number("FLEET_LXD_TIMEOUT_S", 30, least=1, most=600),
            log_level=reader.log_level(),
            metrics_bind=reader.bind("FLEET_METRICS_BIND"),
            lxd_projects=lxd_projects(reader),
        )
        reader.check()
        return settings
