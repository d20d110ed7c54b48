"""What changes units, and what is said of them."""

import json
import os

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
    assert site.json("submit", path) == [{"unit": "life.service", "target": "inactive"}]
    assert site.unit("life.service")["target"] == "inactive"
    assert site.ok("cat", "life") == SLEEP
    assert site.json("cat", "life") == {"unit": "life.service", "text": SLEEP}

    assert site.json("load", "life") == [{"unit": "life.service", "result": "loaded"}]
    row = site.unit("life.service")
    assert (row["target"], row["load"], row["active"]) == ("loaded", "loaded", "inactive")

    done = site.ctl("start", "life")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"life.service started on {row['machine']}\n"
    row = site.unit("life.service")
    assert list(row) == [
        "unit", "machine", "machine_id", "target", "load", "active", "sub", "since", "reason",
    ]  # fmt: skip
    assert (row["target"], row["active"], row["sub"]) == ("launched", "active", "running")
    assert row["machine_id"] == MACHINES[row["machine"]]
    assert row["since"].endswith("+00:00")

    before = _main_pid(site, "life")
    site.ok("restart", "life")
    after = _main_pid(site, "life")
    assert after != before
    os.kill(after, 0)

    site.ok("stop", "life")
    assert site.unit("life.service")["active"] == "inactive"
    site.ok("start", "life")
    assert _main_pid(site, "life") not in {before, after}

    site.ok("unload", "life")
    row = site.unit("life.service")
    assert (row["machine"], row["target"], row["active"]) == (None, "inactive", "inactive")
    assert site.json("destroy", "life") == [{"unit": "life.service", "result": "destroyed"}]
    assert site.unit("life.service") is None


def _main_pid(site: Site, unit: str) -> int:
    (found,) = site.json("status", unit)
    return int(found["main_pid"])


def test_an_instance_is_made_from_a_template_that_is_known(site: Site) -> None:
    site.ok("submit", site.write("known@.service", TALK))
    assert "is a template" in site.fails(2, "start", "known@")
    site.ok("start", "known@1", "known@2")
    assert "said known@1.service" in site.ok("journal", "known@1")
    assert site.ok("cat", "known@2") == TALK
    site.ok("destroy", "known@1", "known@2", "known@")


def test_an_instance_is_made_from_a_template_beside_it(site: Site) -> None:
    site.write("beside@.service", TALK)
    site.ok("start", "./beside@7.service")
    assert site.unit("beside@7.service")["active"] == "active"
    assert site.unit("beside@.service") is None
    site.ok("destroy", "beside@7")


def test_another_file_under_a_known_name_needs_replace(site: Site) -> None:
    path = site.write("twice.service")
    site.ok("start", path)
    site.ok("submit", path)
    before = _main_pid(site, "twice")
    site.write("twice.service", SLEEP + "Environment=A=1\n")
    assert "--replace" in site.fails(1, "submit", path)
    assert "--replace" in site.fails(1, "start", path)
    assert site.ok("cat", "twice") == SLEEP
    site.ok("start", "--replace", path)
    assert _main_pid(site, "twice") != before
    site.ok("destroy", "twice")


def test_start_gives_up_with_the_reason(site: Site) -> None:
    site.ok("submit", site.write("picky.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=tape\n"))
    said = site.fails(4, "start", "--timeout", "0.5", "picky")
    assert "not within 0.5 s: picky.service: it is placed nowhere" in said
    assert "disk=tape: 0 of 2 machines" in said
    assert "disk=tape: 0 of 2 machines" in site.ok("why", "picky")
    found = site.json("why", "picky")
    assert (found["outcome"], found["machine_id"]) == ("pending", None)
    assert [one["feasible"] for one in found["machines"]] == [False, False]
    assert "disk=tape" in site.unit("picky.service")["reason"]
    site.ok("destroy", "picky")


def test_no_block_returns_when_it_is_asked_for(site: Site) -> None:
    path = site.write("later.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=none\n")
    assert site.json("start", "--no-block", path) == [{"unit": "later.service", "result": "asked"}]
    assert site.unit("later.service")["target"] == "launched"
    site.ok("destroy", "later")


def test_a_unit_that_fails_ends_the_wait_at_once(site: Site) -> None:
    site.write("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    said = site.fails(1, "start", "./broken.service")
    assert "broken.service: it failed on" in said
    assert "exit-code" in said
    assert site.unit("broken.service")["reason"].startswith("exit-code")
    # It failed before: this start is another one, and its end is waited for.
    assert "it failed on" in site.fails(1, "start", "broken")
    site.ok("destroy", "broken")


def test_a_file_that_no_machine_takes_ends_the_wait_at_once(site: Site) -> None:
    site.write("odd.service", "[Service]\nType=notworthy\nExecStart=/bin/true\n")
    said = site.fails(1, "start", "./odd.service")
    assert "could not load it" in said
    assert "notworthy" in said
    site.ok("destroy", "odd")


def test_a_global_unit_has_a_row_on_every_machine(site: Site) -> None:
    site.ok("start", site.write("all.service", SLEEP + "[X-Fleet]\nGlobal=true\n"))
    rows = [row for row in site.json("list-units") if row["unit"] == "all.service"]
    assert sorted(row["machine"] for row in rows) == ["m1", "m2"]
    assert {row["active"] for row in rows} == {"active"}
    site.ok("destroy", "all")


def test_one_wrong_name_among_several_changes_nothing(site: Site) -> None:
    path = site.write("fine.service")
    site.fails(3, "start", path, "unheard-of")
    assert site.unit("fine.service") is None
    site.ok("submit", path)
    site.fails(3, "destroy", "fine", "unheard-of")
    assert site.unit("fine.service") is not None
    site.ok("destroy", "fine")


def test_listings_are_columns_for_people(site: Site) -> None:
    site.ok("start", site.write("listed.service", SLEEP + "[X-Fleet]\nMachineMetadata=disk=hdd\n"))
    header, *rows = site.ok("list-units").splitlines()
    assert header.split() == ["UNIT", "MACHINE", "TARGET", "ACTIVE", "SUB", "SINCE", "REASON"]
    (row,) = (row for row in rows if row.startswith("listed.service"))
    assert row.split()[:5] == ["listed.service", "m2", "launched", "active", "running"]
    assert header.index("MACHINE") == row.index("m2")
    assert not site.ok("list-units", "--no-legend").startswith("UNIT")

    header, *rows = site.ok("list-unit-files").splitlines()
    assert header.split() == ["UNIT", "HASH", "TARGET"]
    (row,) = (row for row in rows if row.startswith("listed.service"))
    assert row.split()[2] == "launched"
    (found,) = (r for r in site.json("list-unit-files") if r["unit"] == "listed.service")
    assert list(found) == ["unit", "hash", "target"]
    assert found["hash"].startswith(row.split()[1])
    site.ok("destroy", "listed")


def test_machines_are_listed(site: Site) -> None:
    found = site.json("list-machines")
    assert [row["name"] for row in found] == ["m1", "m2"]
    assert list(found[0]) == [
        "id", "name", "addresses", "metadata", "state", "units", "last_seen",
    ]  # fmt: skip
    assert found[0]["id"] == MACHINES["m1"]
    assert found[0]["metadata"] == {"disk": "ssd"}
    assert found[0]["state"] == "ready"
    header, *rows = site.ok("list-machines").splitlines()
    assert header.split()[:4] == ["NAME", "ID", "STATE", "UNITS"]
    assert [row.split()[0] for row in rows] == ["m1", "m2"]


def test_status_says_how_a_unit_fares_where_it_runs(site: Site) -> None:
    site.ok("start", site.write("talk.service", "[Unit]\nDescription=It talks\n" + TALK))
    said = site.ok("status", "talk")
    assert said.startswith("● talk.service - It talks\n")
    assert "Active: active (exited) on m" in said
    assert "said talk.service" in said
    (found,) = site.json("status", "talk")
    assert found["unit"] == "talk.service"
    assert found["active"] == "active"
    assert any("said talk.service" in line for line in found["journal"])
    site.ok("destroy", "talk")


def test_the_journal_is_read_by_unit_machine_and_priority(site: Site) -> None:
    site.ok("start", site.write("log.service", TALK + "[X-Fleet]\nMachineMetadata=disk=ssd\n"))
    lines = site.ok("journal", "log").splitlines()
    (said,) = (line for line in lines if line.endswith(": said log.service"))
    (grave,) = (line for line in lines if line.endswith(": grave"))
    assert " m1 sh[" in said
    assert lines.index(said) < lines.index(grave)
    assert site.ok("journal", "-n", "1", "log").splitlines() == lines[-1:]
    assert site.ok("journal", "-p", "err", "log").splitlines() == [grave]
    assert site.ok("journal", "-p", "3", "log").splitlines() == [grave]
    assert "said log.service" in site.ok("journal", "-n", "0", "-m", "m1")
    assert "is not on m2" in site.fails(3, "journal", "-m", "m2", "log")
    out = site.ok("-o", "json", "journal", "log")
    entry = json.loads(out.splitlines()[0])
    assert list(entry) == [
        "time", "machine", "unit", "priority", "pid", "identifier", "message", "cursor",
    ]  # fmt: skip
    assert (entry["unit"], entry["machine"]) == ("log.service", "m1")
    site.ok("destroy", "log")


def test_the_journal_is_followed(site: Site) -> None:
    shell = 'ExecStart=/bin/sh -c "n=0; while :; do echo line $$n; n=$$((n+1)); sleep 0.05; done"'
    site.ok("start", site.write("chatty.service", f"[Service]\n{shell}\n"))
    with site.running("journal", "-f", "-n", "1", "chatty") as journal:
        numbers = [int(journal.line().rpartition(" ")[2]) for _ in range(5)]
        assert numbers == list(range(numbers[0], numbers[0] + 5))
    site.ok("destroy", "chatty")
