"""Build the sdist, the wheel from it, install that alone, and import every module.

Run by ``make wheel``. What the wheel needs comes from the environment this runs in; the checkout
itself is kept out of the interpreter that imports.
"""

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:] = [sys.argv[1]] + [p for p in sys.path if p != sys.argv[2]] + [sys.argv[3]]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__name__.lower()]
import c101
assert c101.__file__.startswith(sys.argv[1]), c101.__file__
names = [m.name for m in pkgutil.walk_packages(c101.__path__, "c101.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(f"imported {len(names)} modules from the wheel")
"""


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def main() -> None:
    """Build, install, import; any failure ends with its own message."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", name, cwd=ROOT)
        (sdist,) = work.glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(work, filter="data")
        (source,) = (path for path in work.iterdir() if path.is_dir())
        _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", name, cwd=source)
        (wheel,) = work.glob("*.whl")
        site = work / "site"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
        _run(*pip, "--disable-pip-version-check", "--target", str(site), str(wheel), cwd=work)
        libraries = sysconfig.get_path("purelib")
        # -S keeps the editable install's .pth out of the way; the libraries are added by hand.
        arguments = (str(site), str(ROOT), libraries)
        _run(sys.executable, "-S", "-P", "-W", "error", "-c", IMPORT_ALL, *arguments, cwd=work)


if __name__ == "__main__":
    main()
