"""What clients asked, when, and what they were told: the history that is judged.

Times are ticks of one counter in the process that runs all clients: a call that ended before
another began has the lower tick, and nothing else is read from them. A call without an outcome was
cut off: it took effect at some moment after it began, or never.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


class Held(NamedTuple):
    """A key as it is stored. Every value that is written is unique, so it names its write."""

    key: str
    value: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Write a key; the result is what it held before. ``lease`` 0 is none."""

    key: str
    value: str
    lease: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Get:
    """Read a key; the result is what it holds."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete a key; the result is what it held before."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Write a key if it is still what was *expected*, by its mod_revision; else read it.

    The result is whether it was written, and what was read if not.
    """

    key: str
    expected: Held | None
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAll:
    """Write several keys in one transaction."""

    keys: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAll:
    """Read every key and every lease; only where nobody writes meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Grant a lease that outlasts the test."""

    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """End a lease, and with it its keys."""

    lease: int


Request = Put | Get | Delete | Swap | PutAll | ReadAll | Grant | Revoke
#: What stands in an answer besides its revision; the type depends on the request.
Result = Held | None | tuple[bool, Held | None] | tuple[tuple[Held, ...], frozenset[int]] | str


class Outcome(NamedTuple):
    """What the client was told, or learnt otherwise.

    ``revision`` is the store's when it happened; ``None`` for a refusal, which carries none.
    ``known`` is unset when only the revision is known: a watch saw it, the answer was lost.
    """

    revision: int | None
    result: Result
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of one client. ``ended`` is ``None`` when it was cut off."""

    client: int
    request: Request
    began: int
    ended: int | None
    outcome: Outcome | None


def written_value(request: Request) -> str | None:
    """Return the unique value that *request* writes, if it writes one."""
    return request.value if isinstance(request, Put | Swap | PutAll) else None


def settle(calls: Iterable[Call], revision_of: dict[str, int]) -> list[Call]:
    """Use what the log says of calls that were cut off, as etcd's own tests do.

    *revision_of* has the revision of every value that was ever written. A call whose value is there
    took effect at that revision; one whose value is not there never did, and is left out.
    """
    settled = []
    for call in calls:
        value = written_value(call.request)
        if call.outcome is not None or value is None:
            settled.append(call)
        elif value in revision_of:
            outcome = Outcome(revision_of[value], None, known=False)
            settled.append(replace(call, outcome=outcome))
    return settled
