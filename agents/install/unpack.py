"""The agent's one file, run by a host's Python: installs what is in it.

    python3 c101-agent-VERSION-cp311-x86_64.pyz [--root DIR]

Below ``/usr/local/lib/c101`` every version has a directory of its own, made whole or not at all; a
link says which one is used, and is changed in one step. The version before stays: agents that run
may still have modules to load. Nothing but the standard library is needed, nor the network, nor
pip. What was done is printed as one JSON document: {"id", "changed"}.

This module is the file's ``__main__``: it imports nothing of c101.
"""

import argparse
import compileall
import fcntl
import json
import os
import platform
import shutil
import sys
import venv
import zipfile
from pathlib import Path

PROGRAMS = {
    "c101-agent": "c101.agents.host.main",
    "c101-core": "c101.core.daemon",
    "c101ctl": "c101.tui.ctl.main",
}
#: Where the file's archive keeps what goes on Python's path, and what it says of itself.
SITE = "site/"
ABOUT = "about.json"
_SCRIPT = """\
#!{python} -I
from {module} import main

main()
"""


class Unpacking:
    """Installs *archive* below *root*."""

    def __init__(self, archive: zipfile.ZipFile, root: Path) -> None:
        self._archive = archive
        self._about = json.loads(archive.read(ABOUT))
        self._id = str(self._about["id"])
        self._home = root / "usr/local/lib/c101"
        self._bin = root / "usr/local/bin"

    def refusal(self) -> str:
        """Say why it cannot run here; an empty string when it can."""
        python = ".".join(map(str, sys.version_info[:2]))
        wanted = f"Python {self._about['python']} on {self._about['processor']}"
        if (python, platform.machine()) != (self._about["python"], self._about["processor"]):
            return f"this file is for {wanted}; here is Python {python} on {platform.machine()}"
        return ""

    def install(self) -> bool:
        """Install it; say whether it was not."""
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            current = self._home / "current"
            before = current.resolve().name if current.exists() else ""
            place = self._home / self._id
            if not place.is_dir():
                self._make(place)
            for program in PROGRAMS:
                _link(self._bin / program, Path("../lib/c101/current/bin") / program)
            if before == self._id:
                return False
            _link(current, Path(self._id))
            self._remove_others({before, self._id})
            return True

    def _make(self, place: Path) -> None:
        """Make a virtual environment under another name, and rename it when it is whole."""
        fresh = self._home / f".{self._id}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        venv.EnvBuilder(symlinks=True, with_pip=False).create(fresh)
        site = fresh / "lib" / f"python{self._about['python']}" / "site-packages"
        for member in self._archive.infolist():
            if member.filename.startswith(SITE) and not member.is_dir():
                target = site / member.filename[len(SITE) :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._archive.read(member))
        # The services may not write there: what they load is to be compiled already.
        compileall.compile_dir(site, quiet=2, workers=0, stripdir=str(fresh), prependdir=str(place))
        scripts = fresh / "bin"
        for activate in list(scripts.glob("[Aa]ctivate*")):
            activate.unlink()  # it names the directory by its first name
        for program, module in PROGRAMS.items():
            script = scripts / program
            script.write_text(_SCRIPT.format(python=place / "bin/python3", module=module))
            script.chmod(0o755)
        os.sync()
        fresh.rename(place)

    def _remove_others(self, kept: set[str]) -> None:
        for folder in self._home.iterdir():
            if folder.is_dir() and not folder.is_symlink() and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _link(path: Path, target: Path) -> None:
    """Have a symbolic link at *path*, changed in one step."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def main() -> None:
    """Install the archive that this module is in."""
    parser = argparse.ArgumentParser(description="Installs the programs of a c101 host.")
    parser.add_argument("--root", type=Path, default=Path("/"))
    options = parser.parse_args()
    os.umask(0o022)
    with zipfile.ZipFile(sys.argv[0]) as archive:
        unpacking = Unpacking(archive, options.root)
        refusal = unpacking.refusal()
        if refusal:
            sys.exit(refusal)
        changed = unpacking.install()
        print(json.dumps({"id": json.loads(archive.read(ABOUT))["id"], "changed": changed}))


if __name__ == "__main__":
    main()
