"""For what a file of the agent is made: a minor version of Python, and a processor."""

import platform
import sys
from dataclasses import dataclass

#: CPython's minor versions and the processors (as ``uname -m`` says) that a host may have.
PYTHONS = ("3.11", "3.12", "3.13")
PROCESSORS = ("x86_64", "aarch64")
SUPPORTED = f"CPython {', '.join(PYTHONS)} on {' and '.join(PROCESSORS)}, with glibc"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One of each: ``3.11`` and ``x86_64``."""

    python: str
    processor: str

    def __str__(self) -> str:
        """Return it as people say it."""
        return f"Python {self.python} on {self.processor}"

    @property
    def word(self) -> str:
        """Return it as a part of a file's name: ``cp311-x86_64``."""
        return f"cp{self.python.replace('.', '')}-{self.processor}"

    @property
    def is_supported(self) -> bool:
        """Say whether there are files for it."""
        return self.python in PYTHONS and self.processor in PROCESSORS


TARGETS = tuple(Target(python, processor) for python in PYTHONS for processor in PROCESSORS)


def here() -> Target:
    """Return what this program runs on."""
    return Target(f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine())
