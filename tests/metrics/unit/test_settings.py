from __future__ import annotations

from pathlib import Path

import pytest

from services.metrics.settings import Settings
from shared.platform.settings import SettingsError

ENV = {"FLEET_AMQP_URI": "amqp://h1@broker/", "FLEET_HOST": "h1", "FLEET_LXD_SOCKET": "/l.socket"}


def test_what_is_not_said_has_a_default() -> None:
    settings = Settings.from_env(ENV)

    assert settings == Settings(
        amqp_uri="amqp://h1@broker/",
        host="h1",
        lxd_socket=Path("/l.socket"),
        state_dir=Path("/var/lib/lxdfleet/sampler"),
        interval_s=5,
        lxd_interval_s=60,
        lxd_timeout_s=30,
        log_level="info",
    )


def test_a_sample_each_second_is_the_fastest() -> None:
    assert Settings.from_env(ENV | {"FLEET_SAMPLE_INTERVAL_S": "1"}).interval_s == 1
    with pytest.raises(SettingsError, match="FLEET_SAMPLE_INTERVAL_S"):
        Settings.from_env(ENV | {"FLEET_SAMPLE_INTERVAL_S": "0.5"})


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"FLEET_HOST": "a.b", "FLEET_LXD_TIMEOUT_S": "soon"})

    assert [line.split()[0] for line in str(refused.value).splitlines()] == [
        "FLEET_AMQP_URI",
        "FLEET_HOST",
        "FLEET_LXD_TIMEOUT_S",
    ]
