"""An SSH connection to a host: asyncssh's client behind a few promises of ours.

Every host key is verified, by files that are read here: asyncssh would trust anybody where the
configuration says ``UserKnownHostsFile none``. Every exception of asyncssh ends in this module.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.config import SSHConfig

from c101.agents.ssh.channel_stream import ChannelSession
from c101.agents.ssh.dial import (
    CHANNEL_TIMEOUT_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    INPUT_CHUNK_BYTES,
    KEEPALIVE_COUNT_MAX,
    KEEPALIVE_SECONDS,
    SYSTEM_KNOWN_HOSTS,
    UNKNOWN_STATUS,
    WINDOW_BYTES,
    Ran,
    SshTarget,
    user_known_hosts,
)
from c101.agents.ssh.jump import HOPS_MAX, Hop, jump_gate, parse_jump
from c101.agents.ssh.known_hosts import (
    SSH_PORT,
    KnownHost,
    KnownHosts,
    KnownKey,
    UnknownHostError,
    load_known_hosts,
    pinned,
)
from c101.agents.ssh.printable import printable
from c101.agents.ssh.public_key import PublicKey, parse_public_key
from c101.core.errors import AuthError, C101Error, ConfigError, HostKeyError, LinkError

asyncssh.set_log_level(logging.WARNING)  # its info level narrates every channel

#: Host key algorithms in the order they are asked for, after those of the keys that are known.
#: ssh-rsa (SHA-1) and DSA are not among them.
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
_NO_SHA1 = "-*sha1*"
#: Where tcpi_rtt (microseconds) stands in Linux's struct tcp_info.
_TCP_INFO_RTT_OFFSET = 68


@dataclass
class _Met:
    """What was seen of a host's key while connecting."""

    known: KnownHost = field(default_factory=KnownHost)
    host: str = ""
    offered: PublicKey | None = None
    authority: PublicKey | None = None


class Connection:
    """A connection that stands, or stood."""

    def __init__(self, name: str, connection: asyncssh.SSHClientConnection, client: "_Client"):
        self._name = name
        self._connection = connection
        self._client = client
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def is_lost(self) -> bool:
        """Say whether the connection has ended."""
        return self._client.lost.is_set()

    @property
    def lost_reason(self) -> str:
        """Why it ended; empty while it stands."""
        return self._client.reason

    async def wait_lost(self) -> str:
        """Wait for its end; return why."""
        await self._client.lost.wait()
        return self._client.reason

    def rtt_seconds(self) -> float | None:
        """Return the kernel's smoothed round trip; None over a proxy."""
        link = self._connection.get_extra_info("socket")
        if link is None or self.is_lost:
            return None
        try:
            info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        except OSError:
            return None
        (microseconds,) = struct.unpack_from("=I", info, _TCP_INFO_RTT_OFFSET)
        return float(microseconds) / 1e6

    async def open(self, command: str, protocol: asyncio.Protocol) -> None:
        """Open a channel that runs *command* and attach *protocol*. Raises LinkError."""
        session = ChannelSession(protocol, self._name)
        # A task of its own: asyncssh loses track of a channel whose opening is cancelled, and the
        # host would keep it.
        task = asyncio.create_task(self._open(command, session), name=f"open {self._name}")
        self._opening.add(task)
        task.add_done_callback(self._opened)
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_SECONDS):
                await asyncio.shield(task)
        except TimeoutError as error:
            session.abandon()
            raise LinkError(f"{self._name}: no answer to {command!r}") from error
        except asyncio.CancelledError:
            session.abandon()
            raise

    async def _open(self, command: str, session: ChannelSession) -> None:
        try:
            await self._connection.create_session(
                lambda: session,
                command,
                subsystem=None,
                env=None,
                send_env=None,
                request_pty=False,
                x11_forwarding=False,
                encoding=None,
                window=WINDOW_BYTES,
            )
        except asyncssh.ChannelOpenError as error:
            reason = printable(error.reason)
            hint = "is the key allowed to run it there (its line in authorized_keys)?"
            raise LinkError(
                f"{self._name}: {command!r} was refused: {reason}", hint=hint
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise LinkError(f"{self._name}: {printable(str(error))}") from error

    async def run(self, command: str, data: bytes, sent: Callable[[int], None]) -> Ran:
        """Run *command* with *data* as its input; *sent* hears how much is on its way.

        Raises LinkError.
        """
        try:
            process = await self._connection.create_process(command, encoding=None)
            for at in range(0, len(data), INPUT_CHUNK_BYTES):
                process.stdin.write(data[at : at + INPUT_CHUNK_BYTES])
                await process.stdin.drain()
                sent(min(at + INPUT_CHUNK_BYTES, len(data)))
            process.stdin.write_eof()
            done = await process.wait()
        except (asyncssh.Error, OSError) as error:
            raise LinkError(f"{self._name}: {printable(str(error))}") from error
        return Ran(
            status=UNKNOWN_STATUS if done.exit_status is None else done.exit_status,
            output=_bytes(done.stdout),
            complaint=_bytes(done.stderr),
        )

    def _opened(self, task: "asyncio.Task[None]") -> None:
        self._opening.discard(task)
        if not task.cancelled():
            task.exception()  # seen: who waited has it, unless it gave up

    async def close(self) -> None:
        """End it, with every channel."""
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        self._connection.abort()
        await self._connection.wait_closed()


def _bytes(said: bytes | str | None) -> bytes:
    # Of a process without an encoding it is bytes; asyncssh's type says what may be, of any.
    return said.encode() if isinstance(said, str) else bytes(said or b"")


class _Client(asyncssh.SSHClient):
    """Hears what asyncssh has to tell of one connection."""

    def __init__(self, met: _Met) -> None:
        self._met = met
        self.lost = asyncio.Event()
        self.reason = ""

    def validate_host_public_key(
        self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Trust no key that the files do not name; keep it, to be named in the refusal."""
        self._met.offered = _public_key(key)
        return False

    def validate_host_ca_key(
        self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Trust no authority that the files do not name."""
        self._met.authority = _public_key(key)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep why it ended."""
        self.reason = printable(str(exc)) if exc is not None else "closed"
        self.lost.set()


async def connect(target: SshTarget) -> Connection:
    """Connect and log in. Raises LinkError, AuthError, HostKeyError, ConfigError."""
    connection, client = await _connect(target, None, HOPS_MAX)
    return Connection(target.name, connection, client)


async def _connect(
    target: SshTarget, through: asyncssh.SSHClientConnection | None, hops_left: int
) -> "tuple[asyncssh.SSHClientConnection, _Client]":
    """Connect to *target*, *through* a host that is connected to or as its configuration says."""
    met = _Met()
    clients: list[_Client] = []

    def client() -> _Client:
        clients.append(_Client(met))
        return clients[-1]

    try:
        # In a thread: `Match exec` of a configuration runs a shell and waits for it.
        options = await asyncio.to_thread(_options, target, met)
        options.update(client_factory=client)
        # The same reason: connecting prepares the options once more, asyncssh in an executor.
        # Whose turn it is there holds for all that are on the way: none of them waits again.
        async with jump_gate(options.tunnel if hops_left == HOPS_MAX else None):
            if through is None:
                through = await _jump(parse_jump(options.tunnel), target, hops_left)
            connection = await asyncssh.connect(
                target.host,
                target.port or (),
                options=options,
                config=_config(target),
                tunnel=through or (),
            )
    except BaseException as error:
        if through is not None:
            # Whatever failed: nobody else knows of it.
            through.abort()
        if isinstance(error, asyncssh.Error | OSError | ValueError):
            raise _translate(error, target, met) from error
        raise
    if through is not None:
        # It ends with what goes through it.
        connection.set_tunnel(through)
    return connection, clients[-1]


async def _jump(
    hops: Iterable[Hop], target: SshTarget, hops_left: int
) -> asyncssh.SSHClientConnection | None:
    """Connect to the last of *hops*, each through the one before; ``None`` where there is none.

    asyncssh would do the same, but verify their keys by its own rules and files.
    """
    through = None
    for hop in hops:
        if not hops_left:
            if through is not None:
                through.abort()
            raise ConfigError(f"{target.name}: more than {HOPS_MAX} jump hosts, or a circle")
        place = SshTarget(
            host=hop.host,
            port=hop.port,
            user=hop.user,
            known_hosts=target.known_hosts,
            config=target.config,
        )
        hops_left -= 1
        through, _ = await _connect(place, through, hops_left)
    return through


def _options(target: SshTarget, met: _Met) -> asyncssh.SSHClientConnectionOptions:
    """Prepare everything but the client: blocking, and all files are read here."""
    where: dict[str, object] = {"host": target.host, "config": _config(target)}
    if target.port is not None:
        where["port"] = target.port
    if target.user is not None:
        where["username"] = target.user
    plain = asyncssh.SSHClientConnectionOptions(**where, client_keys=None, agent_path=None)
    files = load_known_hosts(_known_hosts_files(target, plain.config))
    alias = plain.host_key_alias

    def trusted(host: str, _address: str, port: int | None) -> tuple[list[asyncssh.SSHKey], ...]:
        met.host = host if port is None else f"[{host}]:{port}"
        met.known = _lookup(files, target, host, port or SSH_PORT)
        known = met.known
        return _keys(known.keys), _keys(known.authorities), _keys(known.revoked)

    expected = _lookup(files, target, alias or plain.host, plain.port)
    if target.identity is not None:
        where |= {"client_keys": [str(target.identity)], "agent_path": None}
    return asyncssh.SSHClientConnectionOptions(
        **where,
        known_hosts=trusted,
        server_host_key_algs=_algorithms(expected),
        preferred_auth=["publickey"],
        gss_host=None,
        agent_forwarding=False,
        kex_algs=_NO_SHA1,
        mac_algs=_NO_SHA1,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        login_timeout=CONNECT_TIMEOUT_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVE_COUNT_MAX,
        client_version="c101",
    )


def _config(target: SshTarget) -> list[str] | None:
    if target.config is not None:
        return [str(path) for path in target.config] or None
    own = Path.home() / ".ssh" / "config"
    return [str(own)] if own.is_file() else None


def _known_hosts_files(target: SshTarget, config: SSHConfig) -> list[Path]:
    """Return ours, the user's and the system's: those that the configuration names, or the usual.

    ``UserKnownHostsFile none`` names no file: then nothing but the others makes a host known.
    """
    own = config.get("UserKnownHostsFile", user_known_hosts())
    system = config.get("GlobalKnownHostsFile", SYSTEM_KNOWN_HOSTS)
    named = (Path(str(name)).expanduser() for name in (*_names(own), *_names(system)))
    return [*target.known_hosts, *named]


def _names(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def _lookup(files: KnownHosts, target: SshTarget, host: str, port: int) -> KnownHost:
    known = files.lookup(host, port)
    return pinned(known, target.host_keys) if target.host_keys else known


def _algorithms(known: KnownHost) -> list[str]:
    """Ask for the kinds of key that are known first, then for the rest.

    With only the known ones a host whose key changed kind would fail without a word of its key;
    without the known ones first, a host with several keys would show one that is not known.
    """
    first: list[str] = []
    for found in known.keys:
        kind = found.key.key_type
        first += ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
    certificates = [
        name.removesuffix("@openssh.com") + _CERTIFICATE_SUFFIX for name in _HOST_KEY_ALGORITHMS
    ]
    return list(
        dict.fromkeys([*(certificates if known.authorities else ()), *first, *_HOST_KEY_ALGORITHMS])
    )


def _keys(found: Iterable[KnownKey]) -> list[asyncssh.SSHKey]:
    keys = []
    for known in found:
        try:
            keys.append(asyncssh.import_public_key(known.key.line))
        except asyncssh.KeyImportError:
            continue  # a damaged key matches nobody
    return keys


def _public_key(key: asyncssh.SSHKey) -> PublicKey:
    return parse_public_key(key.export_public_key("openssh").decode())


def _translate(error: Exception, target: SshTarget, met: _Met) -> C101Error:
    name, said = target.name, printable(str(error))
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return _host_key_error(name, met, said)
        case asyncssh.PermissionDenied():
            hint = "put its public half in the authorized_keys there"
            return AuthError(f"{name}: the host does not accept this key", hint=hint)
        case asyncssh.KeyExchangeFailed() if met.known.is_known:
            return HostKeyError(f"{name}: the host shows no kind of key that is known: {said}")
        case asyncssh.KeyImportError() | asyncssh.KeyEncryptionError():
            return ConfigError(f"{name}: the key cannot be used: {said}")
        case asyncssh.Error() | OSError():
            return LinkError(f"{name}: {_failure(error)}")
        case _:
            return ConfigError(f"{name}: {said}")


def _failure(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {CONNECT_TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error)) or type(error).__name__


def _host_key_error(name: str, met: _Met, reason: str) -> HostKeyError:
    offered = met.offered or met.authority
    showed = "it showed" if met.offered else "its certificate is signed by"
    if offered is None:
        revoked = ", ".join(f"{known.key} ({known.source})" for known in met.known.revoked)
        about = f"; revoked: {revoked}" if revoked else ""
        return HostKeyError(f"{name}: {printable(reason)}{about}")
    if not met.known.is_known:
        text = f"{name}: the host is unknown; {showed} {offered}"
        return UnknownHostError(text, name=met.host, key=offered)
    expected = ", ".join(
        f"{known.key} ({known.source})" for known in (*met.known.keys, *met.known.authorities)
    )
    return HostKeyError(
        f"{name}: the host key has CHANGED: {showed} {offered}, known is {expected}",
        hint="somebody may be listening in; if the host was set up anew, remove the line named",
    )
