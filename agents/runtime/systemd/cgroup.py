"""Control groups: which processes a unit has."""

from contextlib import suppress
from pathlib import Path


def hierarchy(mounts: str) -> Path | None:
    """Return where systemd's own tree is mounted, by the text of ``/proc/self/mounts``.

    The unified one if there is one, else that named ``systemd``; beside controllers of version 1
    there may be both, and systemd uses the one that has its units.
    """
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.setdefault("unified", Path(where))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found["systemd"] = Path(where)
    return found.get("systemd") or found.get("unified")


def processes(root: Path | None, control_group: str) -> tuple[int, ...]:
    """Return the ids of all processes in a unit's group, those below included, in order."""
    if root is None or not control_group:
        return ()
    top = root / control_group.lstrip("/")
    found: set[int] = set()
    with suppress(OSError):  # a group goes as its last process does
        for listing in (top / "cgroup.procs", *top.glob("**/cgroup.procs")):
            with suppress(OSError):
                found.update(map(int, listing.read_text().split()))
    return tuple(sorted(found))
