"""What ``c101-core kv`` may be told: a field, and a flag, an option; names and units are etcd's.

Only what is needed to read a command line is imported here: the same program relays for SSH.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from c101.core.errors import ConfigError

KIB: Final = 1024
MIB: Final = 1024 * KIB
#: As in etcd: what a larger database would need is a cluster.
QUOTA_BYTES_DEFAULT: Final = 2048 * MIB
#: A larger request is refused, as etcd does (1.5 MiB).
REQUEST_BYTES_DEFAULT: Final = 1536 * KIB
#: What a message may have beyond that before it is refused unread.
GRPC_OVERHEAD_BYTES: Final = 512 * KIB
#: Requests of one connection must fit what it may hold at once (``rpc.limits.held_bytes_max``).
REQUEST_BYTES_MAX: Final = 32 * MIB
#: Compares, or operations of a branch, of one transaction.
TXN_OPERATIONS_DEFAULT: Final = 128
STREAMS_DEFAULT: Final = 4_096
PROGRESS_SECONDS_DEFAULT: Final = 600.0
#: More often than that, notifications, or snapshots, would be the load.
PROGRESS_MIN: Final = "100ms"
SNAPSHOT_MIN: Final = "1s"
SNAPSHOTS_KEPT_DEFAULT: Final = 24

_HOUR: Final = 3_600.0
_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": _HOUR,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much history automatic compaction leaves: exactly one of the two is not 0."""

    seconds: float = 0.0
    revisions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KvOptions:
    """How the KV serves.

    ``quota_backend_bytes``: a database that would become larger raises NOSPACE; 0 is the default,
    less is no quota. ``max_request_bytes``: a larger write is refused; a message may have 512 KiB
    more. ``retention``: ``None`` for no automatic compaction. ``host_names``: under which the HTTP
    side answers, beside loopback and the address that was reached. A snapshot is written every
    ``snapshot_every_seconds``, 0 for none, to ``snapshot_dir``, by default in the data directory.
    """

    quota_backend_bytes: int = QUOTA_BYTES_DEFAULT
    max_request_bytes: int = REQUEST_BYTES_DEFAULT
    max_txn_ops: int = TXN_OPERATIONS_DEFAULT
    max_concurrent_streams: int = STREAMS_DEFAULT
    watch_progress_notify_seconds: float = PROGRESS_SECONDS_DEFAULT
    retention: Retention | None = None
    host_names: tuple[str, ...] = ()
    snapshot_every_seconds: float = 0.0
    snapshot_keep: int = SNAPSHOTS_KEPT_DEFAULT
    snapshot_dir: Path | None = None

    @classmethod
    def of_flags(
        cls,
        *,
        auto_compaction_mode: str,
        auto_compaction_retention: str,
        quota_backend_bytes: int,
        **fields: Any,
    ) -> "KvOptions":
        """Return what the flags of ``kv_flags`` say; raise ConfigError for a bad retention."""
        return cls(
            quota_backend_bytes=quota_backend_bytes or QUOTA_BYTES_DEFAULT,
            retention=parse_retention(auto_compaction_mode, auto_compaction_retention),
            **fields,
        )


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``1h30m`` or ``100ms``; raise ValueError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 10m, 1h30m or 100ms")
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))


def parse_retention(mode: str, text: str) -> Retention | None:
    """Return what is kept; a number alone is hours, or revisions, by *mode*; 0 is no compaction.

    Raises ConfigError.
    """
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
    if mode == "revision":
        if number is None:
            raise ConfigError(
                f"--auto-compaction-retention {text}: not a number of revisions",
                hint="a duration goes with --auto-compaction-mode periodic",
            )
        return Retention(revisions=number) if number else None
    try:
        seconds = parse_duration(text) if number is None else number * _HOUR
    except ValueError as exc:
        raise ConfigError(f"--auto-compaction-retention: {exc}") from exc
    return Retention(seconds=seconds) if seconds else None


def _at_least(shortest: str) -> Callable[[click.Context, click.Parameter, str | None], float]:
    """Return what reads an interval, 0 for none, in seconds; it raises click's usage error."""

    def interval(_context: click.Context, _option: click.Parameter, text: str | None) -> float:
        if text is None:
            return 0.0
        try:
            seconds = parse_duration(text)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc
        if seconds < parse_duration(shortest):
            raise click.BadParameter(f"{text} is shorter than {shortest}")
        return seconds

    return interval


def _names(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Return the names of a flag that is a list of them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


_FLAGS = (
    click.option(
        "--quota-backend-bytes", type=int, default=QUOTA_BYTES_DEFAULT, metavar="BYTES",
        help="A larger database takes no more puts; 2 GiB; less than 0: no quota.",
    ),
    click.option(
        "--auto-compaction-mode", type=click.Choice(["periodic", "revision"]), default="periodic",
        show_default=True, help="Whether the retention is a time or a number of revisions.",
    ),
    click.option(
        "--auto-compaction-retention", default="0", metavar="RETENTION",
        help="What compaction leaves: 1h, 30m, 12 (hours); in mode revision 1000; 0: never.",
    ),
    click.option(
        "--max-request-bytes", type=click.IntRange(1, REQUEST_BYTES_MAX),
        default=REQUEST_BYTES_DEFAULT, metavar="BYTES", help="Of one write; 1.5 MiB.",
    ),
    click.option(
        "--max-txn-ops", type=click.IntRange(1, 1_000_000), default=TXN_OPERATIONS_DEFAULT,
        metavar="N", help="Operations of one transaction; 128.",
    ),
    click.option(
        "--max-concurrent-streams", type=click.IntRange(1, 2**31 - 1), default=STREAMS_DEFAULT,
        metavar="N", help="Calls and streams of one connection at a time; 4096.",
    ),
    click.option(
        "--watch-progress-notify-interval", "watch_progress_notify_seconds",
        callback=_at_least(PROGRESS_MIN), default="10m", metavar="TIME",
        help="How often a silent watch hears the revision, if it asked to; 10m.",
    ),
    click.option(
        "--host-whitelist", "host_names", callback=_names, default="", metavar="NAME[,NAME]...",
        help="More names under which requests over HTTP are answered.",
    ),
    click.option(
        "--snapshot-every", "snapshot_every_seconds",
        callback=_at_least(SNAPSHOT_MIN), metavar="TIME",
        help="Write a snapshot so often: 1h, 30m, 90s; never unless given.",
    ),
    click.option(
        "--snapshot-keep", type=click.IntRange(1), default=SNAPSHOTS_KEPT_DEFAULT, metavar="N",
        help="How many snapshots are kept; 24.",
    ),
    click.option(
        "--snapshot-dir", type=click.Path(path_type=Path), metavar="DIR",
        help="Where they are; snapshots, in the data directory.",
    ),
)  # fmt: skip


def kv_flags(command: _Command) -> _Command:
    """Give *command* the flags that ``KvOptions.of_flags`` takes."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command
