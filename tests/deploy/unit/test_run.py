import socket
from pathlib import Path

import pytest

from deploy.local import processes, run


@pytest.mark.parametrize(
    ("returned", "code"), [(129, 0), (130, 0), (143, 0), (0, 0), (1, 1), (137, 137)]
)
def test_being_told_to_stop_is_no_failure(returned: int, code: int) -> None:
    assert run.exit_code(returned) == code


def test_only_one_fleet_runs_in_a_directory(tmp_path: Path) -> None:
    with (
        run.run_lock(tmp_path),
        pytest.raises(run.CannotStart, match="already running"),
        run.run_lock(tmp_path),
    ):
        pass


def test_a_fleet_that_has_ended_makes_room_for_the_next(tmp_path: Path) -> None:
    with run.run_lock(tmp_path):
        pass

    with run.run_lock(tmp_path):
        assert (tmp_path / "run.lock").exists()


def test_a_taken_port_is_refused_by_its_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(run.CannotStart, match=str(port)):
            run.check_ports_free(f"127.0.0.1:{port}")


def test_a_free_port_is_not_refused_nor_taken() -> None:
    port = processes.free_port()

    run.check_ports_free(f"127.0.0.1:{port}")

    assert processes.bindable(port)
