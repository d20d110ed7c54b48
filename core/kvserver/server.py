"""The KV as a server: a store, its services, its background work, its listeners."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from c101.core.clock import Clock
from c101.core.kv.auth.rights import Rights
from c101.core.kv.auth.store import AuthStore
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kvserver.access import HttpAccess
from c101.core.kvserver.auth import AuthService
from c101.core.kvserver.auto_compaction import AutoCompaction
from c101.core.kvserver.clock import NOW, now_handler
from c101.core.kvserver.cluster import ClusterService
from c101.core.kvserver.collection import collect_when_idle
from c101.core.kvserver.context import LOG_ENTRY_BYTES, Context
from c101.core.kvserver.election import ElectionService
from c101.core.kvserver.gateway import Gateway
from c101.core.kvserver.health import HealthService
from c101.core.kvserver.http import HttpService
from c101.core.kvserver.in_process import InProcess
from c101.core.kvserver.kv import KvService
from c101.core.kvserver.lease import LeaseService, expire
from c101.core.kvserver.lock import LockService
from c101.core.kvserver.maintenance import MaintenanceService
from c101.core.kvserver.metrics import Metrics
from c101.core.kvserver.options import GRPC_OVERHEAD_BYTES, KvOptions
from c101.core.kvserver.reflection import ReflectionService
from c101.core.kvserver.roles import RoleListeners, SocketAuthority
from c101.core.kvserver.snapshot import SnapshotService
from c101.core.kvserver.snapshot_keeper import SnapshotKeeper, SnapshotPlan
from c101.core.kvserver.watch import WatchService
from c101.core.rpc.limits import Limits
from c101.core.rpc.peer import ADMIN_ROLE
from c101.core.rpc.server import Server, UnaryHandler
from c101.core.rpc.server_tls import ServerTls, ServerTlsFiles

#: Calls that run when the server stops may take this long.
GRACE_SECONDS = 2.0
ADMIN_SOCKET = "kv-admin.sock"


class KvServer:
    """``async with KvServer(directory, clock) as server``: then let it listen.

    Leaving the block ends calls, makes durable what was taken, and closes the files. Raises
    ConfigError or StorageError when the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        options: KvOptions = KvOptions(),  # noqa: B008
    ) -> None:
        self._clock = clock
        self._options = options
        self._directory = directory
        self._access = HttpAccess(options.host_names)
        self._roles = SocketAuthority()
        self._tasks: list[asyncio.Task[None]] = []
        #: where it listens
        self.urls: list[str] = []

    async def __aenter__(self) -> Self:
        options = self._options
        store = Store(
            Storage(self._directory),
            self._clock,
            quota_bytes=options.quota_backend_bytes if options.quota_backend_bytes > 0 else None,
            write_bytes_max=options.max_request_bytes - LOG_ENTRY_BYTES,
        )
        self.auth = AuthStore(store, self._clock)
        self.context = context = Context.of(store, self._clock, options, self.auth)
        watch = WatchService(context)
        self.rpc = self._rpc(context, watch, AuthService(context, self.auth).handlers())
        restricted = replace(context, auth=self._roles)
        self._role_rpc = self._rpc(restricted, WatchService(restricted), {})
        self._role_listeners = RoleListeners(self._role_rpc, self._roles, self.urls)
        metrics = Metrics(context, self.rpc, watch)
        gateway = Gateway(self.rpc, self._clock)
        self.rpc.http = HttpService(context, self._access, metrics, gateway).handle
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(expire(store, self._clock), name="kv lease expiry"),
            loop.create_task(context.compactor.run(), name="kv compaction"),
            loop.create_task(
                collect_when_idle((self.rpc, self._role_rpc), self._clock, lambda: context.working),
                name="kv collection",
            ),
        ]
        if options.retention is not None:
            automatic = AutoCompaction(context, self._clock, options.retention)
            self._tasks.append(loop.create_task(automatic.run(), name="kv automatic compaction"))
        if options.snapshot_every_seconds:
            plan = SnapshotPlan(
                directory=options.snapshot_dir or self._directory / "snapshots",
                every_seconds=options.snapshot_every_seconds,
                keep=options.snapshot_keep,
            )
            keeper = SnapshotKeeper(store.storage.path, plan, self._clock)
            self._tasks.append(loop.create_task(keeper.run(), name="kv snapshots"))
        return self

    def _rpc(
        self, context: Context, watch: WatchService, more: Mapping[str, UnaryHandler]
    ) -> Server:
        """Return a server of all services on *context*, and of *more*."""
        lease = LeaseService(context)
        unary = {
            **KvService(context).handlers(),
            **lease.handlers(),
            **MaintenanceService(context).handlers(),
            **ClusterService(context).handlers(),
            **more,
        }
        # Lock and Election are clients of the services above, whatever these check.
        inside = InProcess(context, dict(unary))
        election, health = ElectionService(inside), HealthService(context)
        unary.update(LockService(inside).handlers())
        unary.update(election.handlers())
        unary.update(health.handlers())
        streams = {
            "/etcdserverpb.Watch/Watch": watch.watch,
            "/etcdserverpb.Lease/LeaseKeepAlive": lease.keep_alive,
            "/etcdserverpb.Maintenance/Snapshot": SnapshotService(context).snapshot,
            **election.stream_handlers(),
            **health.stream_handlers(),
        }
        streams.update(ReflectionService((*unary, *streams)).stream_handlers())
        unary[NOW] = now_handler(self._clock)
        options = self._options
        limits = Limits(
            message_bytes_max=options.max_request_bytes + GRPC_OVERHEAD_BYTES,
            streams_max=options.max_concurrent_streams,
        )
        server = Server(unary, streams, limits=limits)
        server.put_off = context.reads.patience.put_off
        return server

    async def __aexit__(self, *_exc: object) -> None:
        self.context.stop_streams()
        await asyncio.gather(self.rpc.close(GRACE_SECONDS), self._role_rpc.close(GRACE_SECONDS))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.context.reads.close()
        self.auth.close()
        await self.context.store.close()

    async def listen_tcp(self, host: str, port: int, tls: ServerTlsFiles | None = None) -> str:
        """Listen on *host* and *port* (0: any free one), with *tls* if given; return the URL.

        Raises:
            ConfigError: the address cannot be had, or a file cannot be used.
        """
        ssl = None if tls is None else ServerTls(tls).context
        listener = await self.rpc.serve_tcp(host, port, ssl)
        bound_port = listener.sockets[0].getsockname()[1]
        scheme = "http" if tls is None else "https"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound_port}"
        self.urls.append(url)
        # Clients that follow the member list get what they can dial from anywhere here.
        self.context.client_urls.append(url)
        return url

    async def listen_unix(self, path: Path) -> str:
        """Listen on a unix socket that only its owner may use; return the URL.

        Who comes by it without a token is root, also while auth is on: the role is the socket.
        """
        await self.rpc.serve_unix(path, role=ADMIN_ROLE)
        url = f"unix://{path}"
        self.urls.append(url)
        return url

    async def listen_role(self, path: Path, role: str, rights: Rights, mode: int = 0o660) -> None:
        """Listen on a unix socket whose users have *rights*, whatever they say of themselves.

        Raises:
            ConfigError: it cannot be had.
        """
        await self._role_listeners.listen(path, role, rights, mode)

    def close_role(self, role: str) -> None:
        """Listen for *role* no more; who is connected may do nothing from now on."""
        self._role_listeners.close(role)
