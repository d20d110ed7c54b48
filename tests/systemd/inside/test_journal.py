"""journald's journal: every byte, resumed exactly, or with a word on what is missing."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager
from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.errors import C101Error
from c101.core.model.host import JournalBatch
from c101.core.model.journal import JournalEntry
from tests.runtime.machine import Machine
from tests.systemd.inside.commands import systemctl

COUNT = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.002; done"


async def read(units: SystemdUnitManager, query: JournalQuery) -> list[JournalBatch]:
    async with units.journal(query) as batches:
        return [batch async for batch in batches]


def entries(batches: list[JournalBatch]) -> list[JournalEntry]:
    return [entry for batch in batches for entry in batch.entries]


async def test_bytes_that_are_no_text_come_as_they_are(
    machine: Machine, units: SystemdUnitManager, tmp_path: Path
) -> None:
    raw = b"\x1b[31mred\x07 \xff\xfe \xe2\x80\xae"
    (tmp_path / "raw").write_bytes(raw + b"\n")
    service = f"Type=oneshot\nExecStart=/bin/cat {tmp_path}/raw\nExecStart=/bin/echo end"
    await machine.run("raw.service", service)
    await machine.until_printed("raw.service", "end")
    messages = [e.message for e in await machine.entries("raw.service") if e.identifier == "cat"]
    assert messages == [raw]


async def test_a_line_of_megabytes_costs_no_more_than_its_reading(
    machine: Machine, tmp_path: Path
) -> None:
    """journald cuts lines at 48 KiB: all of it is there, in order."""
    line = b"".join(b"%09d " % number for number in range(300_000))
    (tmp_path / "long").write_bytes(line + b"\n")
    service = f"Type=oneshot\nExecStart=/bin/cat {tmp_path}/long\nExecStart=/bin/echo end"
    await machine.run("long.service", service)
    # What another process printed may be read before the end of what this one did.
    await machine.until_printed("long.service", "000299999")
    messages = [e.message for e in await machine.entries("long.service") if e.identifier == "cat"]
    # What journald rate-limits or trims at a cut is a blank, no digit.
    assert b"".join(messages).replace(b" ", b"") == line.replace(b" ", b"")


async def test_only_what_was_asked_for_is_read(machine: Machine, units: SystemdUnitManager) -> None:
    await machine.run(
        "a.service", "Type=oneshot\nExecStart=/bin/echo '<3>bad'\nExecStart=/bin/echo"
    )
    await machine.run("b.service", "Type=oneshot\nExecStart=/bin/echo other")
    await machine.until_printed("b.service", "other")
    await machine.until_rest("a.service")
    found = entries(await read(units, JournalQuery(units=("a.service",), priority_max=3)))
    assert [entry.message for entry in found] == [b"bad"]
    last = entries(await read(units, JournalQuery(units=("a.service", "b.service"), lines=2)))
    assert len(last) == 2
    assert {entry.unit for entry in last} <= {"a.service", "b.service"}


async def test_expression_identifier_and_boot_are_pushed_down(
    machine: Machine, units: SystemdUnitManager
) -> None:
    prints = "ExecStart=/bin/sh -c 'echo one; echo two; echo three'"
    await machine.run("a.service", f"Type=oneshot\nSyslogIdentifier=greeter\n{prints}")
    await machine.until_printed("a.service", "three")

    async def texts(**match: Any) -> list[bytes]:
        found = entries(await read(units, JournalQuery(units=("a.service",), **match)))
        return [entry.message for entry in found if entry.identifier == "greeter"]

    assert await texts(grep="^t(wo|hree)$") == [b"two", b"three"]
    assert await texts(grep="^t", lines=1) == [b"three"]
    assert await texts(identifier="greeter", boot="0") == [b"one", b"two", b"three"]
    assert await texts(identifier="another") == []
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert await texts(boot=boot) in ([b"one", b"two", b"three"], [])
    for wrong in ({"boot": "--flush"}, {"boot": "x"}, {"grep": "("}):
        with pytest.raises(C101Error):
            await texts(**wrong)


async def test_a_file_that_cannot_be_read_is_told_of_and_the_others_are_read(
    machine: Machine, units: SystemdUnitManager, caplog: pytest.LogCaptureFixture
) -> None:
    await machine.run("a.service", "Type=oneshot\nExecStart=/bin/echo whole")
    await machine.until_printed("a.service", "whole")
    (directory,) = Path("/var/log/journal").iterdir()
    damaged = directory / "damaged.journal"
    damaged.write_bytes(b"\0" * 4096)
    try:
        batches = await read(units, JournalQuery(units=("a.service",)))
    finally:
        damaged.unlink()
    assert b"whole" in [entry.message for entry in entries(batches)]
    assert [batch.gap for batch in batches if batch.caught_up] == [True]
    assert str(damaged) in caplog.text


async def test_every_field_comes_where_it_is_asked_for(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("a.service", "Type=oneshot\nExecStart=/bin/echo hello")
    await machine.until_printed("a.service", "hello")
    for wanted in (True, False):
        query = JournalQuery(units=("a.service",), all_fields=wanted)
        found = entries(await read(units, query))
        (entry,) = [one for one in found if one.message == b"hello"] or pytest.fail(repr(found))
        assert bool(entry.fields) == wanted
        assert entry.fields.get("_COMM", b"echo") == b"echo"
        assert ("_TRANSPORT" in entry.fields) == wanted


async def test_without_units_it_is_the_clusters_or_everything(
    machine: Machine, units: SystemdUnitManager
) -> None:
    assert entries(await read(units, JournalQuery())) == []
    await systemctl("restart", "ssh")
    found = entries(await read(units, JournalQuery(lines=2_000, everything=True)))
    assert "ssh.service" in {entry.unit for entry in found}
    seen: list[JournalEntry] = []

    async def follow() -> None:
        async with units.journal(JournalQuery(follow=True)) as batches:
            async for batch in batches:
                seen.extend(batch.entries)

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.5)
    # One that comes after the reading has begun is among them from its first word on.
    for name in ("a.service", "b.service"):
        await machine.run(name, f"Type=oneshot\nExecStart=/bin/echo hello {name}")
        await machine.until_printed(name, f"hello {name}")
    await systemctl("restart", "systemd-logind")
    await asyncio.sleep(1.5)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert {entry.unit for entry in seen} == {"a.service", "b.service"}
    assert [e.message for e in seen if b"hello" in e.message][-1:] == [b"hello b.service"]
    stored = entries(await read(units, JournalQuery(lines=1_000)))
    assert {entry.unit for entry in stored} == {"a.service", "b.service"}


async def test_a_follower_sees_every_line_once_while_journald_is_restarted_and_emptied(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("count.service", f"ExecStart=/bin/sh -c '{COUNT}'")
    await machine.until_printed("count.service", "line 1")
    numbers: list[int] = []

    async def follow() -> None:
        query = JournalQuery(units=("count.service",), follow=True)
        async with units.journal(query) as batches:
            async for batch in batches:
                assert not batch.gap
                numbers.extend(
                    int(entry.message.split()[1])
                    for entry in batch.entries
                    if entry.message.startswith(b"line ")
                )

    following = asyncio.create_task(follow())
    for disturb in (("restart", "systemd-journald"), ("kill", "-s", "USR2", "systemd-journald")):
        await asyncio.sleep(0.7)
        await systemctl(*disturb)
    await asyncio.sleep(1.5)
    await units.stop("count.service")
    await machine.until_rest("count.service")
    await asyncio.sleep(1.0)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert len(numbers) > 200
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_cursor_whose_entry_is_gone_is_gone_on_from_with_a_word(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run(
        "vanished.service", "Type=oneshot\nExecStart=/bin/echo one\nExecStart=/bin/echo two"
    )
    await machine.until_printed("vanished.service", "two")
    found = await machine.entries("vanished.service")
    first = next(entry for entry in found if entry.message == b"one")
    # As it would be after another journal took its place: same time, no such entry.
    gone = first.cursor.replace("s=", "s=f00", 1).replace("i=", "i=f", 1)
    batches = await read(units, JournalQuery(units=("vanished.service",), after_cursor=gone))
    assert batches[0].gap
    assert sum(batch.gap for batch in batches) == 1
    assert b"two" in [entry.message for entry in entries(batches)]


@pytest.mark.parametrize("cursor", ["x", "--help", "s=1;t=zz", "a" * 2_000, "s=1\n;t=5"])
async def test_what_is_no_cursor_is_refused(units: SystemdUnitManager, cursor: str) -> None:
    with pytest.raises(C101Error, match="is no cursor"):
        await read(units, JournalQuery(after_cursor=cursor))


async def test_who_does_not_read_holds_nothing_but_the_pipe(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("count.service", f"ExecStart=/bin/sh -c '{COUNT}'")
    await machine.until_printed("count.service", "line 300")
    async with units.journal(JournalQuery(units=("count.service",), follow=True)) as batches:
        batch = await anext(batches)
        await asyncio.sleep(1)
        seen = [*batch.entries]
        async for batch in batches:
            seen += batch.entries
            if b"line 600" in {entry.message for entry in batch.entries}:
                break
    numbers = [int(e.message.split()[1]) for e in seen if e.message.startswith(b"line ")]
    assert numbers == list(range(1, len(numbers) + 1))
