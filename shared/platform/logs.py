"""Log one JSON object per line, with the correlation id of the request that it belongs to.

The gateway generates the id (or takes it from `X-Request-Id`); it travels in the AMQP header
`nameko.correlation_id` and in the operation, and is in every line on the way to LXD.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")

# Below these levels libraries log what operators cannot use, or what we log already: nameko logs an
# expected error, and kombu and aiormq a lost connection, as a warning with a traceback. uvicorn and
# websockets would log everything sent over WebSockets: tickets, and what people type into
# terminals.
LIBRARIES = {
    "aio_pika": logging.ERROR,
    "aiormq": logging.ERROR,
    "alembic": logging.WARNING,
    "amqp": logging.WARNING,
    "kombu.mixins": logging.ERROR,
    "nameko.containers": logging.ERROR,
    "urllib3": logging.WARNING,
    "uvicorn.error": logging.INFO,
    "websockets": logging.INFO,
    "ws4py": logging.WARNING,
}

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's, for terminals
}


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message, correlation id and the record's extra fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := correlation_id.get():
            line["correlation_id"] = current
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(service: str, level: str) -> None:
    """Send all logs of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library, least in LIBRARIES.items():
        logging.getLogger(library).setLevel(max(least, logging.getLevelName(level.upper())))
