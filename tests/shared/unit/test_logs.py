from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from shared.platform import logs
from shared.platform.logs import JsonFormatter, correlation_id


def test_a_record_is_one_line_of_json_with_its_extra_fields_and_the_correlation_id() -> None:
    record = logging.makeLogRecord({"msg": "instance %s", "args": ("web",), "host": "h1"})
    token = correlation_id.set("abc-1")

    line = JsonFormatter("worker").format(record)
    correlation_id.reset(token)

    written = json.loads(line)
    assert "\n" not in line
    assert (written["message"], written["host"]) == ("instance web", "h1")
    assert (written["service"], written["correlation_id"]) == ("worker", "abc-1")


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in logs.LIBRARIES}
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize("library", ["uvicorn.error", "websockets.client", "aiormq.connection"])
def test_no_library_logs_what_it_carries(library: str) -> None:
    logs.set_up("gateway", "debug")

    assert logging.getLogger("services").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger(library).isEnabledFor(logging.DEBUG)
