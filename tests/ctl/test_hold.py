"""``set --hold`` through a restart of the KV."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ctl.site import Site, until
from tests.processes import running_kv

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("away_seconds", [0, 4], ids=["shorter than its lease", "for longer"])
async def test_a_held_key_is_there_again_when_the_kv_is(
    alone: Site, tmp_path: Path, away_seconds: float
) -> None:
    with running_kv(tmp_path / "kv") as server:
        site = replace(alone, kv=f"unix://{server.unix}")
        with site.running("set", "--hold", "--ttl", "2", "held", "here") as holder:
            assert holder.line(error=True) == "held"
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(away_seconds)
            await asyncio.to_thread(server.start)
            if away_seconds:
                while holder.line(error=True) != "held":
                    pass
            until(lambda: site.ctl("get", "held").stdout == "here\n", what="the key")
            status, _ = holder.end(signal.SIGTERM)
            assert status == 0
        site.fails(3, "get", "held")
