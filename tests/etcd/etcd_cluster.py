"""A cluster of three real etcd members on loopback, of which tests kill, stall and start some."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from c101.core.etcd import connect
from c101.core.etcd.client import Client
from tests.processes import START_ATTEMPTS, EtcdProcess, KVProcess, free_port

MEMBERS = 3


class Member(EtcdProcess):
    """One member; *cluster* names the peers of all, its own among them."""

    def __init__(self, directory: Path, name: str, peer: str, cluster: str) -> None:
        super().__init__(directory)
        self.name = name
        self.peer = peer
        self._cluster = cluster

    def command(self) -> Sequence[str]:
        return [
            "/usr/bin/etcd",
            f"--name={self.name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--initial-cluster={self._cluster}",
            # etcd's own intervals: shorter ones lose their leader on a machine that is busy.
            "--heartbeat-interval=100",
            "--election-timeout=1000",
        ]


class EtcdCluster:
    """Three members."""

    def __init__(self, directory: Path) -> None:
        names = [f"m{number}" for number in range(1, MEMBERS + 1)]
        peers = [f"http://127.0.0.1:{free_port()}" for _ in names]
        cluster = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
        self.members = [
            Member(directory / name, name, peer, cluster)
            for name, peer in zip(names, peers, strict=True)
        ]

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members]

    def start(self) -> None:
        """Start whichever members do not run, and return when there is a leader."""
        for member in self.members:
            if not member.running:
                member.launch()
        for member in self.members:
            member.wait_until_healthy()

    def stop(self) -> None:
        """End all."""
        for member in self.members:
            if member.running:
                with contextlib.suppress(ProcessLookupError):
                    member.resume()
            member.kill()

    def client(self, *, timeout_seconds: float = 10.0) -> Client:
        """Return a client of all members."""
        return connect(self.urls, timeout_seconds=timeout_seconds)

    async def leader(self, client: Client) -> KVProcess:
        """Return the member that leads."""
        for health in await client.cluster.health():
            if health.status is not None and health.status.leader == health.status.member_id:
                return next(member for member in self.members if member.url == health.endpoint)
        raise AssertionError("nobody leads")


@contextlib.contextmanager
def running_cluster(directory: Path) -> Iterator[EtcdCluster]:
    """Run a cluster with its data in *directory*; it is killed at the end."""
    cluster = EtcdCluster(directory / "0")
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            cluster.start()
            break
        except RuntimeError:
            cluster.stop()
            if attempt == START_ATTEMPTS:
                raise
            # Somebody else took a port.
            cluster = EtcdCluster(directory / str(attempt))
    try:
        yield cluster
    finally:
        cluster.stop()
