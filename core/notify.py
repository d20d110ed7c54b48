"""Tell whoever started this process how it fares (systemd: sd_notify)."""

import os
import socket


def notify_ready() -> None:
    """Say that start-up is over; nothing happens where nobody asked to be told."""
    notify("READY=1")


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
