"""Starts the keeper of a unit: once, whoever tries at the same time."""

import fcntl
import os
import py_compile
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from c101.agents.runtime.process.keeper.spec import ERROR_FILE, LOCK_FILE, SOCKET_FILE
from c101.agents.runtime.process.unit_directory import UnitDirectory

#: Marks keepers apart from what they keep, in the environment of both.
KEEPER_MARK = "C101_KEEPER"
MACHINE_MARK = "C101_MACHINE"
UNIT_MARK = "C101_UNIT"

_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_KEEPER = str(Path(__file__).parent / "keeper" / "__main__.py")
_BACKLOG = 16
#: glibc gives memory back to the system as soon as it can: a flood of output comes and goes.
_THRIFT = {
    "MALLOC_MMAP_THRESHOLD_": "4096",
    "MALLOC_TRIM_THRESHOLD_": "32768",
    "MALLOC_TOP_PAD_": "0",
}
_OPEN = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def warm_up() -> None:
    """Have the keeper's modules compiled, since compiling them itself takes a keeper two megabytes.

    Not left to the imports of this process: PYTHONDONTWRITEBYTECODE and its kin do not hold for a
    keeper. Where the code cannot be written to, keepers are that much larger.
    """
    here = Path(__file__).parent
    for source in (*here.glob("keeper/*.py"), *here.glob("journal/*.py")):
        compiled = f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        target = source.parent / "__pycache__" / compiled
        try:
            if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
                py_compile.compile(str(source), cfile=str(target))
        except OSError:
            return


def launch_keeper(
    unit: UnitDirectory, journal: Path, *, machine_id: str, lifeline: str, restart: bool
) -> bool:
    """Start a keeper for *unit*; False when one lives already. Blocks for some 20 ms.

    Its socket listens when this returns. With *restart* a unit whose keeper was lost starts again
    where its Restart= says so. Raises OSError.
    """
    with unit.opened() as directory:
        lock = os.open(LOCK_FILE, os.O_RDWR | _OPEN, 0o600, dir_fd=directory)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        # The lock goes to the keeper with the descriptor: there is no moment without it.
        try:
            with _listen(directory) as listener:
                inherited = (directory, listener.fileno(), lock)
                numbers = [str(fd) for fd in inherited]
                arguments = [str(journal), lifeline, "restart" if restart else "rest"]
                marks = {MACHINE_MARK: machine_id, UNIT_MARK: unit.path.name, KEEPER_MARK: "1"}
                _run([*numbers, *arguments], inherited, directory, marks)
        finally:
            os.close(lock)
    return True


def connect_keeper(unit: UnitDirectory) -> socket.socket:
    """Return a connection to the keeper of *unit*. Raises OSError: there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with unit.opened() as directory:
            connection.connect(_address(directory))
    except OSError:
        connection.close()
        raise
    connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
    return connection


def _address(directory: int) -> str:
    """Return a path of the socket that fits into 108 bytes however deep the directory lies."""
    return f"/proc/self/fd/{directory}/{SOCKET_FILE}"


def _listen(directory: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(SOCKET_FILE, dir_fd=directory)
        listener.bind(_address(directory))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _run(
    arguments: list[str], inherited: tuple[int, ...], directory: int, marks: Mapping[str, str]
) -> None:
    errors = os.open(ERROR_FILE, os.O_WRONLY | os.O_TRUNC | _OPEN, 0o600, dir_fd=directory)
    python = [sys.executable, "-I", "-S"]
    try:
        subprocess.run(
            [*python, _LAUNCHER, *python, _KEEPER, *arguments],
            check=True,
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env={"PATH": os.defpath, **_THRIFT, **marks},
        )
    except subprocess.CalledProcessError as exc:
        raise OSError(f"the keeper could not be started; see {ERROR_FILE}") from exc
    finally:
        os.close(errors)
