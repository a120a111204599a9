from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.platform.settings import (
    EnvReader,
    SettingsError,
    settings_or_exit,
    state_dir_or_exit,
)


def test_all_problems_are_told_at_once() -> None:
    read = EnvReader({"FLEET_N": "many", "FLEET_EMPTY": ""})
    read.text("FLEET_A")
    read.text("FLEET_EMPTY")
    read.number("FLEET_N", 1.0, least=1, most=5)

    with pytest.raises(SettingsError) as caught:
        read.check()

    assert str(caught.value).splitlines() == [
        "FLEET_A is not set",
        "FLEET_EMPTY is not set",
        "FLEET_N is 'many'; it takes a number from 1 to 5",
    ]


@pytest.mark.parametrize("raw", ["0", "6", "nan", "inf", "x"])
def test_a_number_out_of_bounds_is_a_problem(raw: str) -> None:
    read = EnvReader({"FLEET_N": raw})

    read.number("FLEET_N", 1.0, least=1, most=5)

    with pytest.raises(SettingsError):
        read.check()


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")

    assert EnvReader({"FLEET_T_FILE": str(file)}).secret("FLEET_T") == "s3cret"


def test_a_secret_s_missing_file_is_named_but_never_its_content() -> None:
    read = EnvReader({"FLEET_T_FILE": "/nowhere", "FLEET_T": "s3cret"})
    read.secret("FLEET_T")

    with pytest.raises(SettingsError, match=r"FLEET_T_FILE cannot be read.*: /nowhere") as caught:
        read.check()

    assert "s3cret" not in str(caught.value)


def test_a_list_is_split_at_commas_and_trimmed() -> None:
    assert EnvReader({"FLEET_L": "a, b ,,c"}).words("FLEET_L") == ("a", "b", "c")


def test_an_address_to_listen_on_is_told_apart_from_its_port() -> None:
    read = EnvReader({"FLEET_V4": "127.0.0.1:9101", "FLEET_V6": "[::1]:9101"})

    assert read.bind("FLEET_V4") == ("127.0.0.1", 9101)
    assert read.bind("FLEET_V6") == ("::1", 9101)
    assert read.bind("FLEET_NONE") is None
    read.check()


@pytest.mark.parametrize("word", ["9101", ":9101", "127.0.0.1:", "127.0.0.1:0", "h:70000"])
def test_an_address_without_a_port_that_can_be_is_a_problem(word: str) -> None:
    read = EnvReader({"FLEET_B": word})

    read.bind("FLEET_B")

    with pytest.raises(SettingsError, match="FLEET_B"):
        read.check()


def complaints(read: EnvReader) -> str:
    with pytest.raises(SettingsError) as caught:
        read.check()
    return str(caught.value)


def test_a_log_level_is_one_that_python_knows() -> None:
    read = EnvReader({"FLEET_LOG_LEVEL": "loud"})

    read.log_level()

    assert complaints(read) == (
        "FLEET_LOG_LEVEL is 'loud'; it takes debug, info, warning, error, critical"
    )
    assert EnvReader({"FLEET_LOG_LEVEL": "DEBUG"}).log_level() == "debug"
    assert EnvReader({}).log_level() == "info"


@pytest.mark.parametrize(
    "address",
    [
        "broker:5672",
        "http://u:s3cret@h/",
        "amqp://u:s3cret@h:port/",
        "amqp://u:s3cret@h:99999/",
        "amqp:///",
    ],
)
def test_an_address_that_is_no_brokers_is_a_problem_and_stays_secret(address: str) -> None:
    read = EnvReader({"FLEET_AMQP_URI": address})

    read.amqp_uri()

    assert complaints(read) == "FLEET_AMQP_URI takes amqp://USER:PASSWORD@HOST:PORT/VHOST"


@pytest.mark.parametrize("address", ["amqp://u:p@h:5672/v", "amqps://[::1]/", "amqp://h"])
def test_an_address_of_a_broker_is_taken(address: str) -> None:
    assert EnvReader({"FLEET_AMQP_URI": address}).amqp_uri() == address


def test_wrong_settings_end_the_process_with_their_lines_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(_: Mapping[str, str]) -> str:
        raise SettingsError("FLEET_A is not set\nFLEET_B is not set")

    with pytest.raises(SystemExit) as ended:
        settings_or_exit(read)

    assert ended.value.code == 2
    assert capsys.readouterr().err == "FLEET_A is not set\nFLEET_B is not set\n"


def test_a_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = state_dir_or_exit(tmp_path / "a" / "b")

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_state_folder_that_cannot_be_made_ends_the_process_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit) as ended:
        state_dir_or_exit(tmp_path / "file" / "state")

    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"FLEET_STATE_DIR cannot be used: Not a directory: {tmp_path}/file/state\n"
    )
