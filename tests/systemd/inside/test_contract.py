"""The systemd runtime keeps the contract of every unit runtime."""

from tests.runtime.contract import UnitManagerContract


class TestSystemdRuntime(UnitManagerContract):
    """With the fixtures of this directory."""
