"""The process runtime keeps the contract of every unit runtime."""

from tests.runtime.contract import UnitManagerContract


class TestProcessRuntime(UnitManagerContract):
    """With the fixtures of this directory, which make a process runtime."""
