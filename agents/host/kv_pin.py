"""Which KV this machine belongs to, and how far it had come.

A KV that was wiped, restored from an older snapshot, or is another one is *unreachable*, not *the
truth*: an agent that sees one does nothing, and says so, until an admin removes the pin.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from c101.core.errors import C101Error


class ForeignKVError(C101Error):
    """The KV that answers is not the one this machine was pinned to."""

    code = "foreign_kv"


@dataclass(frozen=True, slots=True, kw_only=True)
class KVPin:
    """The KV's cluster id, and the highest revision seen of it."""

    cluster_id: int
    revision: int


def verify(pin: KVPin | None, *, cluster_id: int, revision: int) -> str:
    """Say why the KV at *revision* is not the pinned one; "" when it is (or nothing is pinned)."""
    if pin is None:
        return ""
    if cluster_id != pin.cluster_id:
        return (
            f"the KV is another one: its cluster id is {cluster_id:x}, "
            f"this machine belongs to {pin.cluster_id:x}"
        )
    if revision < pin.revision:
        return (
            f"the KV went back in time: it is at revision {revision}, "
            f"this machine has seen revision {pin.revision}"
        )
    return ""


def load(path: Path) -> KVPin | None:
    """Read the pin; ``None`` when there is none. A damaged file raises ForeignKVError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=KVPin)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ForeignKVError(
            f"{path} cannot be read: {error}",
            hint="remove it to accept the KV that answers as this machine's",
        ) from error


def store(path: Path, pin: KVPin) -> None:
    """Write the pin whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(pin))
    fresh.replace(path)
