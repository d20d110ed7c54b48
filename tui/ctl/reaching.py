"""Hosts as people type them, and the question whether an unknown one is to be trusted."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from c101.core.config import SshAccess, known_hosts_path
from c101.core.errors import ConfigError
from c101.tui.ctl.output import say

if TYPE_CHECKING:
    from c101.agents.ssh.dial import SshLink, SshTarget
    from c101.agents.ssh.public_key import PublicKey
    from c101.core.clock import Clock


def parse_host(text: str) -> tuple[str, str, int | None]:
    """Read ``[user@]host[:port]``: user (or ""), host, port. Raises ConfigError.

    An IPv6 address with a port is in brackets.
    """
    user, at, rest = text.rpartition("@")
    if at and not user:
        raise ConfigError(f"not a host: {text!r}", hint="[user@]host[:port]")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
    if port and not port.isdecimal():
        raise ConfigError(f"not a port: {port!r}", hint="[user@]host[:port]")
    return user, host, int(port) if port else None


def target_of(text: str, ssh: SshAccess) -> "SshTarget":
    """Return a typed host as it is logged in to. Raises ConfigError."""
    from c101.agents.ssh.endpoints import target

    user, host, port = parse_host(text)
    return target(ssh, host, port, user=user)


class Trust:
    """Asks about unknown hosts, one after the other; *accept_new* answers for whoever is absent."""

    def __init__(self, *, accept_new: bool) -> None:
        self._accept_new = accept_new
        self._asking = asyncio.Lock()
        self._told: set[str] = set()
        self._accepted: set[tuple[str, PublicKey]] = set()

    async def connect(self, link: "SshLink") -> None:
        """Connect; an unknown host, or jump host, becomes a known one if its key is accepted.

        Raises LinkError, AuthError, HostKeyError.
        """
        from c101.agents.ssh.known_hosts import UnknownHostError
        from c101.agents.ssh.trust import remember
        from c101.agents.ssh.user_config import in_user_config

        for line in in_user_config(link.target.host):
            if line not in self._told:
                self._told.add(line)
                say(line)
        asked: set[str] = set()
        while True:
            try:
                return await link.connect()
            except UnknownHostError as unknown:
                # Those that it is reached through come first, each with a name of its own.
                if unknown.name in asked:
                    raise
                asked.add(unknown.name)
                async with self._asking:
                    if (unknown.name, unknown.key) in self._accepted:
                        continue
                    if not await self._accepts(unknown):
                        raise
                    path = known_hosts_path(os.environ)
                    await asyncio.to_thread(remember, path, unknown.name, unknown.key)
                    self._accepted.add((unknown.name, unknown.key))

    async def _accepts(self, unknown: Exception) -> bool:
        if self._accept_new:
            say(f"{unknown}; accepted")
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        say(str(unknown))
        return await asyncio.to_thread(click.confirm, "Is that its key?", default=False, err=True)


@asynccontextmanager
async def linked(target: "SshTarget", trust: Trust, clock: "Clock") -> "AsyncIterator[SshLink]":
    """Hold a connection to a host. Raises LinkError, AuthError, HostKeyError."""
    from c101.agents.ssh.dial import SshLink

    link = SshLink(target, clock)
    try:
        await trust.connect(link)
        yield link
    finally:
        await link.close()
