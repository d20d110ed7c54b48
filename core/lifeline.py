"""A process that must not outlive its supervisor holds a connection to it: the lifeline."""

import asyncio

from c101.core.errors import ConfigError

#: Set by the supervisor of a local cluster for everything it starts: the path of its socket.
ENVIRONMENT_VARIABLE = "C101_LIFELINE"

_READ_BYTES = 4096


async def watch_lifeline(path: str) -> None:
    """Connect to the unix socket *path* and return when the other side is gone.

    The kernel closes the connection however the supervisor ends, SIGKILL included. Raises
    ConfigError when nobody listens there.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as exc:
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}={path}: {exc.strerror or exc}",
            hint=f"unset {ENVIRONMENT_VARIABLE} to run without a supervisor",
        ) from exc
    try:
        while await reader.read(_READ_BYTES):
            pass
    except ConnectionError:
        return
    finally:
        writer.close()
