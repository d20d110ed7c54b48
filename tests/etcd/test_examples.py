"""Every public method of the client has an example, and every example runs."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.etcd import connect, connecting
from c101.core.etcd.auth import Auth
from c101.core.etcd.client import Client
from c101.core.etcd.cluster import Cluster
from c101.core.etcd.election import Election, Leadership
from c101.core.etcd.errors import KVError
from c101.core.etcd.kv import KeyVerbs
from c101.core.etcd.lease import HeldLease
from c101.core.etcd.lease_verbs import LeaseVerbs
from c101.core.etcd.lock import Lock
from c101.core.etcd.maintenance import Maintenance
from c101.core.etcd.mirror import Mirror
from c101.core.etcd.scan import Scan
from c101.core.etcd.stm import Stm
from c101.core.etcd.transactions import Transactions
from c101.core.etcd.watch import Watch
from c101.core.etcd.watch_group import WatchGroup
from c101.core.rpc.status import Code
from tests.etcd.examples import Example, in_docstring, in_page, public_methods
from tests.processes import KVProcess

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "client.md"

CLASSES: tuple[type, ...] = (
    Auth, Client, Cluster, Election, HeldLease, KeyVerbs, Leadership, LeaseVerbs, Lock,
    Maintenance, Mirror, Scan, Stm, Transactions, Watch, WatchGroup,
)  # fmt: skip

#: What is said of a thing that goes on, or needs a cluster: shown by tests of their own.
SHOWN_ELSEWHERE = {
    "Cluster.add_member", "Cluster.remove_member", "Cluster.update_member",
    "Cluster.promote_member", "Watch.connected", "Watch.problem", "Watch.cluster_id",
    "HeldLease.remaining_seconds",
}  # fmt: skip


def all_examples() -> list[Example]:
    found = [in_docstring(kind.__name__, kind) for kind in CLASSES]
    for kind in CLASSES:
        for name, member in public_methods(kind):
            found.append(in_docstring(f"{kind.__name__}.{name}", member))
    found.append(in_docstring("connect", connecting.connect))
    return [example for example in found if example is not None]


def test_every_public_method_is_shown_by_an_example() -> None:
    missing = []
    for kind in CLASSES:
        whole = in_docstring(kind.__name__, kind)
        for name, member in public_methods(kind):
            own = in_docstring(name, member)
            shown = own is not None or (whole is not None and f".{name}" in whole.code)
            if not shown and f"{kind.__name__}.{name}" not in SHOWN_ELSEWHERE:
                missing.append(f"{kind.__name__}.{name}")
    assert missing == []


@pytest.fixture
async def empty(server: KVProcess) -> AsyncIterator[Client]:
    """A client of a KV without keys, users and roles."""
    async with connect(server.url) as client:
        await client.delete_prefix("")
        for lease in await client.leases():
            with contextlib.suppress(KVError):
                await client.revoke_lease(lease)
        yield client


@pytest.mark.parametrize("example", all_examples(), ids=lambda example: example.where)
async def test_an_example_in_a_docstring_runs(
    empty: Client, server: KVProcess, example: Example
) -> None:
    await run(example, empty, server)


@pytest.mark.parametrize("kind", ["etcd"])
@pytest.mark.parametrize("example", list(in_page(PAGE)), ids=lambda example: example.where)
async def test_a_block_of_the_page_on_the_client_runs(
    empty: Client, server: KVProcess, example: Example
) -> None:
    await run(example, empty, server)


async def run(example: Example, client: Client, server: KVProcess) -> None:
    try:
        await example.run(client, server.url)
    except KVError as exc:
        # Our own KV says in its own name what one member cannot do.
        if exc.status is not Code.UNIMPLEMENTED and not str(exc).startswith("c101: "):
            raise
        pytest.skip(f"the server does not do that: {exc}")
