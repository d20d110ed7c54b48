"""``get set ls rm watch``."""

import json
import signal
from dataclasses import replace

import pytest

from tests.ctl.site import Site

pytestmark = pytest.mark.integration


def test_a_key_is_written_and_read_with_or_without_its_slash(site: Site) -> None:
    assert site.ok("set", "k/one", "1") == "1\n"
    assert site.steps("get /k/one", "get k/one") == ["1\n", "1\n"]
    assert "k/one" in site.fails(3, "get", "--raw", "k/one")


def test_a_value_comes_from_standard_input_byte_for_byte(site: Site) -> None:
    site.ok("set", "stdin", stdin="two\nlines\n")
    assert site.ok("get", "stdin") == "two\nlines\n\n"


def test_a_key_as_json_has_its_history(site: Site) -> None:
    *_, document = site.steps("set j 1", "set j 2", "-o json get j")
    found = json.loads(document)
    assert 0 < found.pop("create_revision") < found.pop("mod_revision")
    assert found == {"key": "/j", "value": "2", "version": 2, "lease": None}


def test_a_value_that_is_not_text_is_base64_in_json(site: Site) -> None:
    assert site.ctl("set", "binary", "\udcff").returncode == 0
    found = site.json("get", "binary")
    assert found["value_b64"] == "/w=="
    assert "value" not in found


def test_a_key_is_read_as_it_was_at_a_revision(site: Site) -> None:
    _, document, _ = site.steps("set past old", "-o json get past", "set past new")
    revision = json.loads(document)["mod_revision"]
    assert site.ok("get", "--revision", str(revision), "past") == "old\n"


def test_set_compares_before_it_writes(site: Site) -> None:
    done = site.each(
        ("set", "--if-absent", "cas", "a"),
        ("set", "--if-absent", "cas", "b"),
        ("set", "--swap-with-value", "x", "cas", "b"),
        ("set", "--swap-with-value", "a", "cas", "b"),
        ("get", "cas"),
        ("set", "--if-absent", "--swap-with-value", "b", "cas", "c"),
    )
    assert [status for status, _, _ in done] == [0, 1, 1, 0, 0, 2]
    assert "there already" in done[1][2]
    assert "another one" in done[2][2]
    assert done[4][1] == "b\n"


def test_a_key_with_a_ttl_has_a_lease(site: Site) -> None:
    _, document = site.steps("set --ttl 60 leased 1", "-o json get leased")
    assert json.loads(document)["lease"]


def test_ls_shows_one_level_and_with_r_every_key(site: Site) -> None:
    *_, one, every, documents, top = site.steps(
        *(f"set d/{key} 1" for key in ("a", "b/c", "b/d")),
        "ls d",
        "ls -r /d/",
        "-o json ls -r d/b",
        "ls",
    )
    assert one == "/d/a\n/d/b/\n"
    assert every == "/d/a\n/d/b/c\n/d/b/d\n"
    assert [(kv["key"], kv["value"]) for kv in json.loads(documents)] == [
        ("/d/b/c", "1"),
        ("/d/b/d", "1"),
    ]
    assert "/d/" in top.splitlines()
    assert site.json("ls", "d") == ["/d/a", "/d/b/"]


def test_ls_of_nothing_is_not_found(site: Site) -> None:
    assert "nothing is there" in site.fails(3, "ls", "nothing/here")


def test_rm_deletes_one_key_or_all_below(site: Site) -> None:
    site.steps("set r 1", "set r/a 1", "set r/b 1", "rm r", "get r/a")
    site.fails(3, "get", "r")
    assert site.json("rm", "-r", "r") == {"deleted": 2}
    assert "no such key" in site.fails(3, "rm", "r/a")


OWN_KEYS = [
    ("set", "/c101/units/x.service/target", "launched"),
    ("rm", "/c101/units/x.service/target"),
    ("rm", "-r", "/c101"),
    ("rm", "-r", "/"),
]


def test_the_clusters_own_keys_are_not_touched_without_force(site: Site) -> None:
    for status, _, said in site.each(*OWN_KEYS):
        assert status == 2
        assert "--force" in said
    assert site.json("list-machines")


def test_watch_follows_a_key_and_a_prefix(site: Site) -> None:
    site.ok("set", "w/a", "first")
    revision = str(site.json("get", "w/a")["mod_revision"])
    with (
        site.running("watch", "w/a", "--revision", revision) as one,
        site.running("-o", "json", "watch", "-r", "w/", "--revision", revision) as all_of_them,
    ):
        assert one.line() == "put /w/a first"
        assert json.loads(all_of_them.line())["value"] == "first"
        site.ok("set", "w/b", "other")
        site.ok("rm", "w/a")
        assert one.line() == "delete /w/a"
        assert json.loads(all_of_them.line())["key"] == "/w/b"
        event = json.loads(all_of_them.line())
        assert (event["event"], event["key"]) == ("delete", "/w/a")


def test_an_interrupted_watch_ends_without_a_word(site: Site) -> None:
    site.ok("set", "interrupted", "1")
    revision = str(site.json("get", "interrupted")["mod_revision"])
    with site.running("watch", "interrupted", "--revision", revision) as watch:
        watch.line()
        # The line that ^C stands on is ended, no more.
        assert watch.end(signal.SIGINT) == (130, "\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_held_key_is_deleted_at_the_end(site: Site, number: int) -> None:
    key = f"held{number}"
    with site.running("set", "--hold", "--ttl", "30", key, "here") as holder:
        assert holder.line(error=True) == "held"
        assert site.ok("get", key) == "here\n"
        assert holder.end(number) == (0, "")
    site.fails(3, "get", key)


def test_hold_needs_a_ttl(site: Site) -> None:
    assert "--ttl" in site.fails(2, "set", "--hold", "x", "y")


def test_what_may_not_be_written_is_not_held(site: Site) -> None:
    site.ok("set", "taken", "1")
    assert "there already" in site.fails(
        1, "set", "--hold", "--ttl", "5", "--if-absent", "taken", "2"
    )


def test_a_revision_that_has_not_happened_is_refused(site: Site) -> None:
    assert "revision" in site.fails(1, "get", "--revision", "999999999", "j")


def test_the_kv_may_be_named_by_the_environment_or_by_its_clusters_name(site: Site) -> None:
    site.ok("set", "named", "1")
    unnamed = replace(site, kv="")
    assert unnamed.ok("--cluster", "here", "get", "named") == "1\n"
    assert unnamed.ok("get", "named") == "1\n"  # the one that runs on this computer
    by_environment = replace(unnamed, environment={**site.environment, "C101_KV": site.kv})
    assert by_environment.ok("get", "named") == "1\n"
    nobody = replace(unnamed, environment={**site.environment, "C101_KV": "unix:///nobody"})
    assert "nobody" in nobody.fails(5, "get", "named")
    assert nobody.ok("--cluster", "here", "get", "named") == "1\n"
    assert "here" in unnamed.fails(2, "--cluster", "there", "get", "named")
