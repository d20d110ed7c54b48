"""Our own known_hosts: the host keys that somebody accepted for c101.

Every line is written by us, so a name stands there as it is, not hashed; the file is replaced as a
whole, and only by one program at a time.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from c101.agents.ssh.known_hosts import SSH_PORT, check_host
from c101.agents.ssh.public_key import PublicKey, parse_public_key
from c101.core.errors import ConfigError


def remember(path: Path, name: str, key: PublicKey) -> None:
    """Make *key* a key of the host that known_hosts files call *name*. Raises ConfigError."""
    line = f"{name} {key.line}\n"
    _change(path, lambda text: text if line in text else f"{text}{line}")


def forget(path: Path, name: str) -> int:
    """Remove the keys of *name*; return how many there were. Raises ConfigError."""
    gone = 0

    def without(text: str) -> str:
        nonlocal gone
        kept = [line for line in text.splitlines(keepends=True) if line.split(" ")[0] != name]
        gone = len(text.splitlines()) - len(kept)
        return "".join(kept)

    _change(path, without)
    return gone


def replace_keys(path: Path, old: Collection[str], new: Sequence[str]) -> None:
    """Know by *new* keys every host that has one of the *old* ones. Raises ConfigError."""

    def replaced(text: str) -> str:
        lines: dict[str, None] = {}
        for line in text.splitlines(keepends=True):
            name, _, key = line.rstrip("\n").partition(" ")
            fresh = [f"{name} {one}\n" for one in new] if key in old else [line]
            lines.update(dict.fromkeys(fresh))
        return "".join(lines)

    if path.exists():
        _change(path, replaced)


def remembered(path: Path) -> list[tuple[str, PublicKey]]:
    """Return the names and keys in the file. Raises ConfigError."""
    found = []
    for line in _text(path).splitlines():
        name, _, key = line.partition(" ")
        try:
            found.append((name, parse_public_key(key)))
        except ValueError:
            continue
    return found


def name_of(host: str, port: int | None) -> str:
    """Return what known_hosts files call a host. Raises ConfigError."""
    check_host(host)
    return host.lower() if port in {None, SSH_PORT} else f"[{host.lower()}]:{port}"


def _change(path: Path, change: Callable[[str], str]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            fresh = path.with_name(path.name + ".new")
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
            ) as out:
                out.write(change(_text(path)))
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
