"""Loads what stands on asyncssh, without the compiler that its import starts.

asyncssh looks for two libraries (nettle, liboqs) that it can do without. ``find_library`` of ctypes
runs ldconfig, gcc and ld for each that is not installed, which takes a process longer than all the
rest of that import. They are looked for where the loader keeps libraries instead.
"""

import ctypes.util
import importlib
import sys
import threading
from pathlib import Path
from types import ModuleType

_FOLDERS = ("/usr/local/lib", "/usr/lib64", "/usr/lib", "/lib64", "/lib")

_lock = threading.Lock()


def load(module: str) -> ModuleType:
    """Return *module*, imported; to be called in a thread, for it takes long."""
    if module in sys.modules:
        return importlib.import_module(module)
    with _lock:
        usual = ctypes.util.find_library
        ctypes.util.find_library = _find_library
        try:
            return importlib.import_module(module)
        finally:
            ctypes.util.find_library = usual


def _find_library(name: str) -> str | None:
    # Debian keeps libraries of several architectures side by side; Python knows which is its own.
    multiarch = getattr(sys.implementation, "_multiarch", "")
    for folder in _FOLDERS:
        for place in (Path(folder, multiarch), Path(folder)):
            for found in sorted(place.glob(f"lib{name}.so*")):
                return str(found)
    return None
