"""What the server under test has: a test of what it has not is skipped, by name."""

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import KVError
from c101.core.rpc.status import Code


async def needs_auth(client: Client) -> None:
    """Skip where there is no Auth service."""
    try:
        await client.auth.users()
    except KVError as exc:
        if exc.status is not Code.UNIMPLEMENTED:
            raise
        pytest.skip(f"the server has no Auth service: {exc}")
