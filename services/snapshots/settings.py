"""The service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.snapshots.plans.planner import PlanLimits
from services.snapshots.runs.history import RunRetention
from shared.contracts.policies import MOST_AT_ONCE
from shared.platform.settings import Bind, EnvReader
from shared.policies.plan import DEFAULT_AT_ONCE, DEFAULT_FLEET_AT_ONCE

DAY_S = 24 * 3600.0
MOST_FLEET_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's variables, checked.

    Several copies share one PostgreSQL database. Prometheus finds metrics at `metrics_bind`, None:
    nowhere. A host that was silent for `keep_hosts_s` is forgotten with its runs.
    """

    amqp_uri: str
    database_url: str
    state_dir: Path
    limits: PlanLimits
    retention: RunRetention
    keep_hosts_s: float
    log_level: str = "info"
    metrics_bind: Bind | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read `FLEET_*`; raise `SettingsError` that lists all problems at once."""
        reader = EnvReader(env)
        state = reader.text("FLEET_STATE_DIR", "/var/lib/lxdfleet/snapshots")
        settings = cls(
            amqp_uri=reader.amqp_uri(),
            database_url=reader.secret(
                "FLEET_SNAPSHOTS_DATABASE_URL", f"sqlite:///{state}/snapshots.db"
            ),
            state_dir=Path(state),
            limits=_limits(reader),
            retention=RunRetention(
                keep_s=reader.number("FLEET_KEEP_RUNS_S", 90 * DAY_S, least=DAY_S),
                most_per_host=int(
                    reader.number("FLEET_MAX_RUNS_PER_HOST", 20_000, least=100, most=1e6)
                ),
            ),
            keep_hosts_s=reader.number("FLEET_KEEP_SILENT_HOSTS_S", 30 * DAY_S, least=3600),
            log_level=reader.log_level(),
            metrics_bind=reader.bind("FLEET_METRICS_BIND"),
        )
        reader.check()
        return settings


def _limits(reader: EnvReader) -> PlanLimits:
    return PlanLimits(
        at_once=int(
            reader.number("FLEET_SNAPSHOTS_AT_ONCE", DEFAULT_AT_ONCE, least=1, most=MOST_AT_ONCE)
        ),
        fleet_at_once=int(
            reader.number(
                "FLEET_SNAPSHOTS_FLEET_AT_ONCE",
                DEFAULT_FLEET_AT_ONCE,
                least=1,
                most=MOST_FLEET_AT_ONCE,
            )
        ),
    )
