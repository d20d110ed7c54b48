"""The unit's processes: everything below this process, since it is their subreaper.

What a daemon leaves behind by forking twice becomes a child of the keeper. So the descendants of
the keeper are what systemd finds in a unit's control group, and when there is no child left the
group is empty.
"""

from __future__ import annotations

import posix

_STAT_BYTES = 512


def table() -> dict[int, tuple[int, str]]:
    """Return the parent and state letter of every process of the computer, by pid."""
    found: dict[int, tuple[int, str]] = {}
    for name in posix.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if fields:
                found[int(name)] = (int(fields[1]), fields[0].decode())
    return found


def stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state letter on; empty when it is gone."""
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    try:
        # The name in parentheses may hold anything, parentheses too.
        return posix.read(fd, _STAT_BYTES).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        posix.close(fd)


def name_of(pid: int) -> str:
    """Return the name of a process as ``ps`` shows it; "n/a" when it is gone."""
    try:
        fd = posix.open(f"/proc/{pid}/comm", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return "n/a"
    try:
        return posix.read(fd, _STAT_BYTES).decode(errors="replace").rstrip("\n") or "n/a"
    except OSError:
        return "n/a"
    finally:
        posix.close(fd)


def descendants(ancestor: int, processes: dict[int, tuple[int, str]] | None = None) -> list[int]:
    """Return the live processes below *ancestor*, which is left out; zombies do not count.

    *processes* is the table to look in, where the caller has one.
    """
    processes = table() if processes is None else processes
    below = {ancestor}
    # Parents need not have smaller numbers than their children: go on until nothing is added.
    added = True
    while added:
        added = False
        for pid, (parent, _) in processes.items():
            if parent in below and pid not in below:
                below.add(pid)
                added = True
    return sorted(pid for pid in below - {ancestor} if processes[pid][1] not in "ZX")


def children() -> list[int]:
    """Return this process's own children that are alive."""
    me = posix.getpid()
    return [pid for pid, (parent, state) in table().items() if parent == me and state not in "ZX"]


def has_children() -> bool:
    """Say whether this process has any child, waited for or not."""
    try:
        posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap() -> list[tuple[int, int]]:
    """Return (pid, wait status) of every child that has ended."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append((pid, status))


def send(pid: int, number: int) -> bool:
    """Send a signal; False when there is no such process or it is not ours to signal."""
    try:
        posix.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
