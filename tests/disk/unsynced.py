"""A KV that breaks its promise: SQLite is told to sync nothing.

It shows that the tests of power cuts can fail. As a program it is ``c101-core`` without syncs.
"""

import sqlite3
from typing import Any

from c101.core.daemon import main


class _Unsynced(sqlite3.Connection):
    """A connection that syncs nothing, whatever it is told."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=full", "synchronous=off"), *parameters)


def without_sync() -> None:
    """Break the promise that the tests are about: every connection is opened without syncs."""
    connect = sqlite3.connect

    def unsynced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=_Unsynced, **options)

    sqlite3.connect = unsynced  # type: ignore[assignment]


if __name__ == "__main__":
    without_sync()
    main()
