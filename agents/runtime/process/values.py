"""Values of directives, as systemd writes them: time spans, signals, sizes, booleans.

Each function takes the text of a value and raises ValueError with the reason when it is none.
"""

import math
import re
import signal
from collections.abc import Callable, Mapping

_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_FALSE = frozenset({"0", "no", "n", "false", "f", "off"})

#: Names of time units in seconds (systemd.time(7)).
_SECONDS: Mapping[str, float] = {
    name: seconds
    for names, seconds in (
        ("usec us µs μs", 1e-6),
        ("msec ms", 1e-3),
        ("seconds second sec s", 1.0),
        ("minutes minute min m", 60.0),
        ("hours hour hr h", 3_600.0),
        ("days day d", 86_400.0),
        ("weeks week w", 604_800.0),
        ("months month M", 2_629_800.0),
        ("years year y", 31_557_600.0),
    )
    for name in names.split()
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-zµμ]*)\s*")
_SIZES: Mapping[str, int] = {
    "": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50,
    "E": 1 << 60,
}  # fmt: skip
_SIZE = re.compile(r"(\d+)([BKMGTPE]?)")
_STATUS_MAX = 255

#: Names that SuccessExitStatus= and its kin take beside numbers (systemd.exec(5)).
_STATUS_NAMES: Mapping[str, int] = {
    "SUCCESS": 0, "FAILURE": 1, "INVALIDARGUMENT": 2, "NOTIMPLEMENTED": 3, "NOPERMISSION": 4,
    "NOTINSTALLED": 5, "NOTCONFIGURED": 6, "NOTRUNNING": 7, "USAGE": 64, "DATAERR": 65,
    "NOINPUT": 66, "NOUSER": 67, "NOHOST": 68, "UNAVAILABLE": 69, "SOFTWARE": 70, "OSERR": 71,
    "OSFILE": 72, "CANTCREAT": 73, "IOERR": 74, "TEMPFAIL": 75, "PROTOCOL": 76, "NOPERM": 77,
    "CONFIG": 78, "CHDIR": 200, "NICE": 201, "FDS": 202, "EXEC": 203, "MEMORY": 204,
    "LIMITS": 205, "OOM_ADJUST": 206, "SIGNAL_MASK": 207, "STDIN": 208, "STDOUT": 209,
    "CHROOT": 210, "IOPRIO": 211, "TIMERSLACK": 212, "SECUREBITS": 213, "SETSCHEDULER": 214,
    "CPUAFFINITY": 215, "GROUP": 216, "USER": 217, "CAPABILITIES": 218, "CGROUP": 219,
    "SETSID": 220, "CONFIRM": 221, "STDERR": 222,
}  # fmt: skip


def boolean(text: str) -> bool:
    """Read yes or no."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def time_span(text: str) -> float | None:
    """Read a time span in seconds: ``5min 20s``, ``1.5``, ``infinity`` (``None``).

    A number without a unit is seconds.
    """
    if text.strip() == "infinity":
        return None
    total = 0.0
    position = 0
    while True:
        match = _SPAN.match(text, position)
        if match is None or (match[2] and match[2] not in _SECONDS):
            raise ValueError(f"{text!r} is no time span; write 30, 5min 20s or infinity")
        total += float(match[1]) * _SECONDS[match[2] or "s"]
        position = match.end()
        if position == len(text):
            break
    return None if math.isinf(total) else total


def timeout(text: str) -> float | None:
    """Read a time span in seconds of which zero, too, means for ever."""
    return time_span(text) or None


def signal_number(text: str) -> int:
    """Read a signal: ``SIGTERM``, ``TERM``, ``15``, ``RTMIN+3``."""
    name = text.upper().removeprefix("SIG")
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    realtime = re.fullmatch(r"RT(MIN|MAX)(?:([+-])(\d+))?", name)
    if realtime is not None:
        base = signal.SIGRTMIN if realtime[1] == "MIN" else signal.SIGRTMAX
        offset = int(realtime[3] or 0)
        number = int(base) + (offset if realtime[2] != "-" else -offset)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    elif f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise ValueError(f"{text!r} is no signal")


def exit_statuses(text: str) -> tuple[list[int], list[int]]:
    """Read exit statuses and signals, by number or name: ``1 TEMPFAIL SIGKILL``."""
    statuses, signals = [], []
    for word in text.split():
        if word.isdecimal():
            if int(word) > _STATUS_MAX:
                raise ValueError(f"{word} is no exit status: they end at {_STATUS_MAX}")
            statuses.append(int(word))
        elif word in _STATUS_NAMES:
            statuses.append(_STATUS_NAMES[word])
        else:
            signals.append(signal_number(word))
    return statuses, signals


def file_mode(text: str) -> int:
    """Read an octal mode, such as ``0027``."""
    if not re.fullmatch(r"[0-7]{1,4}", text):
        raise ValueError(f"{text!r} is no octal mode")
    return int(text, 8)


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from *low* to *high*."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,10}", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is no number from {low} to {high}")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader that takes one of *words*."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return read


def limit(text: str) -> tuple[int, int]:
    """Read a resource limit, ``SOFT:HARD`` or one for both; ``infinity`` is -1."""
    soft, colon, hard = text.partition(":")
    first = _one_limit(soft)
    second = _one_limit(hard) if colon else first
    if second >= 0 and (first < 0 or first > second):
        raise ValueError(f"{text!r}: the soft limit is above the hard one")
    return first, second


def time_limit(text: str) -> tuple[int, int]:
    """Read LimitCPU=: time spans, in whole seconds rounded up."""
    soft, colon, hard = text.partition(":")
    spans = [time_span(soft), time_span(hard if colon else soft)]
    first, second = (-1 if span is None else math.ceil(span) for span in spans)
    return first, second


def _one_limit(text: str) -> int:
    if text == "infinity":
        return -1
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no limit; write 1024, 64K or infinity")
    return int(match[1]) * _SIZES[match[2]]
