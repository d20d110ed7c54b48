"""A real KV behind a real SSH gateway, and the console's way to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from c101.agents.ssh.endpoints import KV_COMMAND
from c101.agents.ssh.gateway import Gateway, GatewaySettings
from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.known_hosts import known_hosts_line
from c101.core.clock import SystemClock
from c101.core.config import ClusterAddress, KVGateway, LocalCluster, LocalKV, SshAccess
from c101.core.etcd.client import Client
from c101.core.kvserver.server import KvServer
from c101.core.rpc.dial import UnixDialer


@dataclass
class Cluster:
    """A KV that stands, and what the console is told of it."""

    address: ClusterAddress
    client: Client
    gateway: Gateway


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A KV behind a gateway; ``client`` writes to it by its socket."""
    clock = SystemClock()
    socket = tmp_path / "kv-admin.sock"
    identity, authorized = tmp_path / "id", tmp_path / "authorized_keys"
    options = f'restrict,command="{KV_COMMAND}"'
    authorized.write_text(f"{options} {ensure_key(identity).line} me\n")
    authorized.chmod(0o600)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(KvServer(tmp_path / "data", clock))
        await server.listen_unix(socket)
        settings = GatewaySettings(
            host_key=tmp_path / "host_key",
            authorized_keys=authorized,
            relays={KV_COMMAND: socket},
        )
        gateway = Gateway("127.0.0.1", 0, settings, clock)
        await gateway.start()
        stack.push_async_callback(gateway.close)
        await gateway.ready()
        known = tmp_path / "known_hosts"
        known.write_text(known_hosts_line("127.0.0.1", gateway.port, gateway.host_key) + "\n")
        client = await stack.enter_async_context(Client([UnixDialer(str(socket))], clock=clock))
        local = LocalCluster(
            kv=LocalKV(unix=f"unix://{socket}", ssh=KVGateway(host="127.0.0.1", port=gateway.port)),
            ssh=SshAccess(user="c101", identity=str(identity), known_hosts=str(known)),
        )
        address = ClusterAddress(name="test", kv=local.kv.unix, ssh=local.ssh, local=local)
        yield Cluster(address, client, gateway)
