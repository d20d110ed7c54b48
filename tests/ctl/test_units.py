"""What changes units, and what is said of them."""

import json
import os
from typing import Any

import psutil
import pytest

from tests.ctl.site import MACHINES, SLEEP, Site

pytestmark = pytest.mark.integration

TALK = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "echo said %n; echo '<3>grave'"
"""


def test_a_unit_lives_from_submit_to_destroy(site: Site) -> None:
    path = site.write("life.service")
    submitted, listed, text, document, loaded, relisted = site.steps(
        f"-o json submit {path}",
        "-o json list-units",
        "cat life",
        "-o json cat life",
        "-o json load life",
        "-o json list-units",
    )
    assert json.loads(submitted) == [{"unit": "life.service", "target": "inactive"}]
    assert _row(listed, "life.service")["target"] == "inactive"
    assert text == SLEEP
    assert json.loads(document) == {"unit": "life.service", "text": SLEEP}
    assert json.loads(loaded) == [{"unit": "life.service", "result": "loaded"}]
    row = _row(relisted, "life.service")
    assert (row["target"], row["load"], row["active"]) == ("loaded", "loaded", "inactive")

    done = site.ctl("start", "life")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"life.service started on {row['machine']}\n"
    listed, first, _, second, _, stopped, _, third = site.steps(
        "-o json list-units",
        "-o json status life",
        "restart life",
        "-o json status life",
        "stop life",
        "-o json list-units",
        "start life",
        "-o json status life",
    )
    row = _row(listed, "life.service")
    assert list(row) == [
        "unit", "machine", "machine_id", "target", "load", "active", "sub", "since", "reason",
    ]  # fmt: skip
    assert (row["target"], row["active"], row["sub"]) == ("launched", "active", "running")
    assert row["machine_id"] == MACHINES[row["machine"]]
    assert row["since"].endswith("+00:00")
    assert _row(stopped, "life.service")["active"] == "inactive"
    pids = [json.loads(status)[0]["main_pid"] for status in (first, second, third)]
    assert len(set(pids)) == 3
    os.kill(pids[-1], 0)

    _, listed, destroyed, gone = site.steps(
        "unload life", "-o json list-units", "-o json destroy life", "-o json list-units"
    )
    row = _row(listed, "life.service")
    assert (row["machine"], row["target"], row["active"]) == (None, "inactive", "inactive")
    assert json.loads(destroyed) == [{"unit": "life.service", "result": "destroyed"}]
    assert _row(gone, "life.service") is None
    assert not psutil.pid_exists(pids[-1])


def _row(listing: str, name: str) -> Any:
    rows = [row for row in json.loads(listing) if row["unit"] == name]
    return rows[0] if rows else None


def test_an_instance_is_made_from_a_template_that_is_known(site: Site) -> None:
    path = site.write("known@.service", TALK)
    *_, journal, text = site.steps(
        f"submit {path}", "start known@1 known@2", "journal known@1", "cat known@2"
    )
    assert "said known@1.service" in journal
    assert text == TALK
    assert "is a template" in site.fails(2, "start", "known@")
    site.ok("destroy", "known@1", "known@2", "known@")


def test_an_instance_is_made_from_a_template_beside_it(site: Site) -> None:
    site.write("beside@.service", TALK)
    _, listed, _ = site.steps("start ./beside@7.service", "-o json list-units", "destroy beside@7")
    assert _row(listed, "beside@7.service")["active"] == "active"
    assert _row(listed, "beside@.service") is None


def test_another_file_under_a_known_name_needs_replace(site: Site) -> None:
    path = site.write("twice.service")
    *_, before = site.steps(f"start {path}", f"submit {path}", "-o json status twice")
    site.write("twice.service", SLEEP + "Environment=A=1\n")
    for verb in ("submit", "start"):
        assert "--replace" in site.fails(1, verb, path)
    kept, _, after, _ = site.steps(
        "cat twice", f"start --replace {path}", "-o json status twice", "destroy twice"
    )
    assert kept == SLEEP
    assert json.loads(before)[0]["main_pid"] != json.loads(after)[0]["main_pid"]


def test_start_gives_up_with_the_reason(site: Site) -> None:
    site.ok("submit", site.write("picky.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=tape\n"))
    said = site.fails(4, "start", "--timeout", "0.5", "picky")
    assert "not within 0.5 s: picky.service: it is placed nowhere" in said
    assert "disk=tape: 0 of 2 machines" in said
    text, document, listed, _ = site.steps(
        "why picky", "-o json why picky", "-o json list-units", "destroy picky"
    )
    assert "disk=tape: 0 of 2 machines" in text
    found = json.loads(document)
    assert (found["outcome"], found["machine_id"]) == ("pending", None)
    assert [one["feasible"] for one in found["machines"]] == [False, False]
    assert "disk=tape" in _row(listed, "picky.service")["reason"]


def test_no_block_returns_when_it_is_asked_for(site: Site) -> None:
    path = site.write("later.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=none\n")
    asked, listed, _ = site.steps(
        f"-o json start --no-block {path}", "-o json list-units", "destroy later"
    )
    assert json.loads(asked) == [{"unit": "later.service", "result": "asked"}]
    assert _row(listed, "later.service")["target"] == "launched"


def test_a_unit_that_fails_ends_the_wait_at_once(site: Site) -> None:
    site.write("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    said = site.fails(1, "start", "./broken.service")
    assert "broken.service: it failed on" in said
    assert "exit-code" in said
    # It failed before: this start is another one, and its end is waited for.
    assert "it failed on" in site.fails(1, "start", "broken")
    listed, _ = site.steps("-o json list-units", "destroy broken")
    assert _row(listed, "broken.service")["reason"].startswith("exit-code")


def test_a_file_that_no_machine_takes_ends_the_wait_at_once(site: Site) -> None:
    site.write("odd.service", "[Service]\nType=notworthy\nExecStart=/bin/true\n")
    said = site.fails(1, "start", "./odd.service")
    assert "could not load it" in said
    assert "notworthy" in said
    site.ok("destroy", "odd")


def test_a_global_unit_has_a_row_on_every_machine(site: Site) -> None:
    path = site.write("all.service", SLEEP + "[X-Fleet]\nGlobal=true\n")
    _, listed, _ = site.steps(f"start {path}", "-o json list-units", "destroy all")
    rows = [row for row in json.loads(listed) if row["unit"] == "all.service"]
    assert sorted(row["machine"] for row in rows) == ["m1", "m2"]
    assert {row["active"] for row in rows} == {"active"}


def test_one_wrong_name_among_several_changes_nothing(site: Site) -> None:
    path = site.write("fine.service")
    site.fails(3, "start", path, "unheard-of")
    before, _ = site.steps("-o json list-units", f"submit {path}")
    assert _row(before, "fine.service") is None
    site.fails(3, "destroy", "fine", "unheard-of")
    site.ok("destroy", "fine")


def test_listings_are_columns_for_people(site: Site) -> None:
    path = site.write("listed.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=hdd\n")
    _, units, bare, files, document, _ = site.steps(
        f"start {path}",
        "list-units",
        "list-units --no-legend",
        "list-unit-files",
        "-o json list-unit-files",
        "destroy listed",
    )
    header, *rows = units.splitlines()
    assert header.split() == ["UNIT", "MACHINE", "TARGET", "ACTIVE", "SUB", "SINCE", "REASON"]
    (row,) = (row for row in rows if row.startswith("listed.service"))
    assert row.split()[:5] == ["listed.service", "m2", "launched", "active", "running"]
    assert header.index("MACHINE") == row.index("m2")
    assert not bare.startswith("UNIT")

    header, *rows = files.splitlines()
    assert header.split() == ["UNIT", "HASH", "TARGET"]
    (row,) = (row for row in rows if row.startswith("listed.service"))
    assert row.split()[2] == "launched"
    found = _row(document, "listed.service")
    assert list(found) == ["unit", "hash", "target"]
    assert found["hash"].startswith(row.split()[1])


def test_machines_are_listed(site: Site) -> None:
    document, same, text = site.steps(
        "-o json list-machines", "list-machines --output=json", "list-machines -o text"
    )
    assert same == document
    found = json.loads(document)
    assert [row["name"] for row in found] == ["m1", "m2"]
    assert list(found[0]) == [
        "id", "name", "addresses", "metadata", "state", "units", "last_seen",
    ]  # fmt: skip
    assert found[0]["id"] == MACHINES["m1"]
    assert found[0]["metadata"] == {"disk": "ssd"}
    assert found[0]["state"] == "ready"
    header, *rows = text.splitlines()
    assert header.split()[:4] == ["NAME", "ID", "STATE", "UNITS"]
    assert [row.split()[0] for row in rows] == ["m1", "m2"]


def test_status_says_how_a_unit_fares_where_it_runs(site: Site) -> None:
    path = site.write("talk.service", "[Unit]\nDescription=It talks\n" + TALK)
    _, said, document, _ = site.steps(
        f"start {path}", "status talk", "-o json status talk", "destroy talk"
    )
    assert said.startswith("● talk.service - It talks\n")
    assert "Active: active (exited) on m" in said
    assert "said talk.service" in said
    (found,) = json.loads(document)
    assert found["unit"] == "talk.service"
    assert found["active"] == "active"
    assert any("said talk.service" in line for line in found["journal"])


def test_the_journal_is_read_by_unit_machine_and_priority(site: Site) -> None:
    path = site.write("log.service", TALK + "[X-Fleet]\nMachineMetadata=disk=ssd\n")
    _, text, last, graver, gravest, everything, document = site.steps(
        f"start {path}",
        "journal log",
        "journal -n 1 log",
        "journal -p err log",
        "journal -p 2 log",
        "journal -n 0 -m m1",
        "-o json journal log",
    )
    lines = text.splitlines()
    (said,) = (line for line in lines if line.endswith(": said log.service"))
    (grave,) = (line for line in lines if line.endswith(": grave"))
    assert " m1 sh[" in said
    assert lines.index(said) < lines.index(grave)
    assert last.splitlines() == lines[-1:]
    assert graver.splitlines() == [grave]
    assert not gravest
    assert said in everything
    entry = json.loads(document.splitlines()[0])
    assert list(entry) == [
        "time", "machine", "unit", "priority", "pid", "identifier", "message", "cursor",
    ]  # fmt: skip
    assert (entry["unit"], entry["machine"]) == ("log.service", "m1")
    assert "is not on m2" in site.fails(3, "journal", "-m", "m2", "log")
    site.ok("destroy", "log")


def test_the_journal_is_followed(site: Site) -> None:
    shell = 'ExecStart=/bin/sh -c "n=0; while :; do echo line $$n; n=$$((n+1)); sleep 0.05; done"'
    site.ok("start", site.write("chatty.service", f"[Service]\n{shell}\n"))
    with site.running("journal", "-f", "-n", "1", "chatty") as journal:
        numbers = [int(journal.line().rpartition(" ")[2]) for _ in range(5)]
        assert numbers == list(range(numbers[0], numbers[0] + 5))
    site.ok("destroy", "chatty")
