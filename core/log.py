"""One formatter for every program, in two modes: text for people, json for machines.

Messages are constant phrases; what varies goes in ``extra`` fields. Anything in ``extra`` is
printed.
"""

import json
import logging
import sys
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """``2026-11-23T18:42:07 info kv: message key=value``, one line an event but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Render *record* as one line, its extra fields after the message."""
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        name = record.name.removeprefix("c101.")
        fields = "".join(f" {key}={value!s}" for key, value in _fields(record).items())
        line = f"{when} {record.levelname.lower()} {name}: {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render *record* as one JSON object."""
        entry: dict[str, object] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(*, mode: str = "text", level: str = "info", stream: TextIO | None = None) -> None:
    """Send the root logger to *stream* (standard error) in *mode*, ``text`` or ``json``."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if mode == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
