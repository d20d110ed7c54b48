"""Tell whoever started this process how it fares (systemd: sd_notify)."""

import os
import socket


def notify_ready() -> None:
    """Say that start-up is over; nothing happens where nobody asked to be told."""
    notify("READY=1")


def watchdog_seconds() -> float | None:
    """Return how often ``notify("WATCHDOG=1")`` is due; ``None`` where nobody watches.

    Twice as often as whoever started us wants it (systemd: sd_watchdog_enabled).
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or meant != str(os.getpid()) or not int(microseconds):
        return None
    return int(microseconds) / 2_000_000


def notify(state: str) -> None:
    """Send *state* to the socket in ``NOTIFY_SOCKET``; a starter that is gone is not an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract name space
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return
