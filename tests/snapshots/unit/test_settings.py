from __future__ import annotations

from pathlib import Path

import pytest

from services.snapshots.plans.planner import PlanLimits
from services.snapshots.runs.history import RunRetention
from services.snapshots.settings import DAY_S, Settings
from shared.platform.settings import SettingsError

ENV = {"FLEET_AMQP_URI": "amqp://snapshots@broker/fleet"}


def test_what_is_not_said_has_a_default() -> None:
    assert Settings.from_env(ENV) == Settings(
        amqp_uri="amqp://snapshots@broker/fleet",
        database_url="sqlite:////var/lib/lxdfleet/snapshots/snapshots.db",
        state_dir=Path("/var/lib/lxdfleet/snapshots"),
        limits=PlanLimits(at_once=4, fleet_at_once=64),
        retention=RunRetention(keep_s=90 * DAY_S, most_per_host=20_000),
        keep_hosts_s=30 * DAY_S,
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    empty = dict.fromkeys(("FLEET_SNAPSHOTS_DATABASE_URL", "FLEET_SNAPSHOTS_AT_ONCE"), "")

    assert Settings.from_env(ENV | empty) == Settings.from_env(ENV)


def test_the_database_is_in_the_state_directory_or_where_its_address_says(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://fleet@db/snapshots\n")

    own = Settings.from_env(ENV | {"FLEET_STATE_DIR": "/state"})
    told = Settings.from_env(ENV | {"FLEET_SNAPSHOTS_DATABASE_URL_FILE": str(secret)})

    assert own.database_url == "sqlite:////state/snapshots.db"
    assert told.database_url == "postgresql://fleet@db/snapshots"


def test_all_that_is_wrong_is_named_at_once() -> None:
    wrong = {"FLEET_SNAPSHOTS_AT_ONCE": "0", "FLEET_SNAPSHOTS_FLEET_AT_ONCE": "many"}

    with pytest.raises(SettingsError) as refused:
        Settings.from_env(wrong)

    assert [line.split()[0] for line in str(refused.value).splitlines()] == [
        "FLEET_AMQP_URI",
        "FLEET_SNAPSHOTS_AT_ONCE",
        "FLEET_SNAPSHOTS_FLEET_AT_ONCE",
    ]
