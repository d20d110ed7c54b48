"""One formatter for every program, in two modes: text for people, json for machines.

Messages are constant phrases; what varies goes in ``extra`` fields. Anything in ``extra`` is
printed.
"""

import json
import logging
import os
import sys
from typing import TextIO

#: syslog's priorities by our levels.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))
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


class JournalFormatter(TextFormatter):
    """The same for journald, which has the time and knows a priority before a line (sd-daemon)."""

    def format(self, record: logging.LogRecord) -> str:
        """Render *record* without its time, every line of it with its priority."""
        text = super().format(record).partition(" ")[2]
        priority = next(value for level, value in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


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
    text = JournalFormatter() if stream is None and _is_journal() else TextFormatter()
    handler.setFormatter(JsonFormatter() if mode == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _is_journal() -> bool:
    """Say whether standard error is journald's (systemd: $JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
