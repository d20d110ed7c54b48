"""What a program writes to journald: no time, which that has, and a priority before each line."""

import os
import subprocess
import sys

PROGRAM = """
import logging
from c101.core import log
log.configure()
logging.getLogger("c101.kv").warning("refused", extra={"role": "viewer"})
logging.getLogger("c101.kv").info("two\\nlines")
"""


def said(*, journal: bool) -> list[str]:
    read, write = os.pipe()
    found = os.fstat(write)
    stream = f"{found.st_dev}:{found.st_ino if journal else 1}"
    environment = {**os.environ, "JOURNAL_STREAM": stream}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], stderr=write, env=environment, check=True, timeout=30
    )
    os.close(write)
    with os.fdopen(read) as lines:
        return lines.read().splitlines()


def test_journald_gets_priorities_and_no_time() -> None:
    assert said(journal=True) == [
        "<4>warning kv: refused role=viewer",
        "<6>info kv: two",
        "<6>lines",
    ]


def test_anybody_else_gets_the_time() -> None:
    first, *_ = said(journal=False)
    assert first.startswith("20")
    assert first.endswith(" warning kv: refused role=viewer")
