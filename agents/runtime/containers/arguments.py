"""What the command lines of container engines say. Pure."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

#: Engines whose containers are another process's children: their client waits in the unit.
CLIENTS = frozenset({"docker", "podman"})
#: What is in a unit that has a container of those: the client, or podman's monitor.
ENGINE_PROGRAMS = CLIENTS | {"conmon"}


def program(argv: Sequence[str]) -> str:
    """Return which program a process is, by its first argument."""
    return PurePath(argv[0]).name if argv else ""


def named_by_client(argv: Sequence[str]) -> Iterator[str]:
    """Yield whatever an engine's client might name its container by: ``--name``, and every word."""
    for word, following in zip(argv[1:], [*argv[2:], ""], strict=True):
        if word == "--name":
            yield following
        elif word.startswith("--name="):
            yield word.partition("=")[2]
        elif not word.startswith("-"):
            yield word


def option(argv: Sequence[str], *names: str) -> str:
    """Return the value of one of *names*, given as ``-M x``, ``-Mx`` or ``--machine=x``."""
    for word, following in zip(argv[1:], [*argv[2:], ""], strict=True):
        for name in names:
            if word == name:
                return following
            if name.startswith("--") and word.startswith(f"{name}="):
                return word.partition("=")[2]
            if not name.startswith("--") and word.startswith(name) and not word.startswith("--"):
                return word[len(name) :]
    return ""
