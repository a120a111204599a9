"""What LXD has written about a start: told with its failure, and for itself."""

from __future__ import annotations

import pytest

from services.lxd_worker.instance_queries import MOST_LINES, last_lines, read_log, readable_log
from services.lxd_worker.transitions.steps import Step
from shared.contracts.bounds import LONGEST_LINES
from shared.contracts.errors import (
    FleetError,
    InstanceNotFound,
    InstanceReplaced,
    InvalidInput,
    LogNotFound,
    LxdRefused,
)
from shared.contracts.operations import Kind, Operation, State
from shared.contracts.worker_api import MOST_LOG
from tests.support.builders import a_creation
from tests.support.lxd_worker.bench import Bench

WHY = 'lxc db 20261128215059.123 ERROR start - start.c:start:2197 - Failed to exec "/sbin/init"'
FORKSTART = LxdRefused("Failed to run: forkstart db: exit status 1")


def told(operation: Operation) -> tuple[State, str, str]:
    assert operation.failure is not None
    return operation.state, operation.failure.code, operation.failure.log


def test_a_start_that_fails_tells_what_lxd_has_written_about_it(bench: Bench) -> None:
    bench.lxd.refuses[Step.START] = FORKSTART
    bench.lxd.logs["db"] = WHY

    assert told(bench.run(Kind.START, "db")) == (State.FAILED, "lxd_refused", WHY)


def test_so_does_a_creation_whose_start_fails_although_nothing_is_left_of_it(
    bench: Bench,
) -> None:
    bench.lxd.refuses[Step.START] = FORKSTART
    bench.lxd.logs["new"] = WHY
    operation = bench.carry_out(a_creation(auto_start=True))

    assert told(operation) == (State.FAILED, "lxd_refused", WHY)
    assert "new" not in bench.lxd.holds


def test_where_there_is_no_log_the_failure_is_told_without(bench: Bench) -> None:
    bench.lxd.refuses[Step.START] = FORKSTART

    assert told(bench.run(Kind.START, "db")) == (State.FAILED, "lxd_refused", "")


def test_what_fails_for_another_reason_tells_no_log(bench: Bench) -> None:
    bench.lxd.refuses[Step.FREEZE] = LxdRefused("no")
    bench.lxd.logs["web"] = WHY

    assert told(bench.run(Kind.FREEZE, "web")) == (State.FAILED, "lxd_refused", "")


def test_the_log_of_an_instance_is_told_up_to_a_size(bench: Bench) -> None:
    bench.lxd.logs["web"] = "x" * MOST_LOG + "the end"

    log = read_log(bench.lxd, "default", "web", "u-web")

    assert (len(log.text), log.text[-7:], log.truncated) == (MOST_LOG, "the end", True)


def test_an_empty_log_is_one(bench: Bench) -> None:
    bench.lxd.logs["web"] = ""

    log = read_log(bench.lxd, "default", "web", "u-web")

    assert (log.text, log.truncated) == ("", False)


@pytest.mark.parametrize(
    ("name", "uuid", "error"),
    [
        ("web", "u-web", LogNotFound),
        ("web", "u-other", InstanceReplaced),
        ("nix", "u", InstanceNotFound),
        ("../etc", "u", InvalidInput),
    ],
)
def test_a_log_that_is_not_there_is_refused(
    bench: Bench, name: str, uuid: str, error: type[FleetError]
) -> None:
    with pytest.raises(error):
        read_log(bench.lxd, "default", name, uuid)


def test_the_last_lines_are_few_and_short() -> None:
    log = "\n".join(f"line {number}\n" for number in range(100))

    lines = last_lines(log).splitlines()

    assert (len(lines), lines[-1]) == (MOST_LINES, "line 99")
    assert len(last_lines("x" * 100_000)) == LONGEST_LINES


@pytest.mark.attack
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\x1b[2Jb\x00c\n\td\r\n", "a\ufffd[2Jb\ufffdc\n\td\n"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"lxc.environment = PASSWORD=secret\nnext", "lxc.environment = ...\nnext"),
        (b"environment.TOKEN: secret", "environment.TOKEN: ..."),
    ],
)
def test_a_log_holds_no_control_characters_and_no_environment(raw: bytes, text: str) -> None:
    assert readable_log(raw) == text
