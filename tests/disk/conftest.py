from pathlib import Path

import pytest

from tests.disk.shim import build


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    return build(tmp_path_factory.mktemp("shim"))
