"""What the console does when keys are pressed and when the cluster changes."""

from dataclasses import replace

from c101.core.errors import C101Error, LinkLostError
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState
from c101.tui.feeds.access import ClusterUpdate
from tests.fakes import sample_cluster as sample
from tests.fakes.access import FakeAccess
from tests.tui.app.conftest import console


async def test_four_panes_are_live_at_once() -> None:
    async with console() as it:
        await it.until_text("UNITS 9", "MACHINES 3", "KEYS 7", "JOURNAL", "live 4ms")
        await it.until_text("web-sidekick@1", "disk=ssd", "127.0.0.1:41001", "GET / 200 3ms")


async def test_the_screen_is_painted_before_the_cluster_is_reached() -> None:
    access = sample.access()
    access.gate.clear()
    async with console(access, ready=False) as it:
        await it.until_text("UNITS", "starting the cluster…")
        access.gate.set()
        await it.until_text("UNITS 9", "3/3 machines")


async def test_a_cluster_that_cannot_be_reached_ends_the_console_with_its_reason() -> None:
    access = sample.access()
    access.fail_with = LinkLostError("nobody there", hint="c101ctl local up")
    async with console(access, ready=False) as it:
        await it.until(lambda: bool(it.app.problem))
    assert it.app.problem == "nobody there (c101ctl local up)"
    assert it.app.return_value == LinkLostError.exit_status
    assert access.closed


async def test_a_pending_unit_shows_its_reason_without_being_asked() -> None:
    async with console() as it:
        await it.until_text("why: MachineMetadata=memory=big: 0 of 3 machines")


async def test_a_change_in_the_cluster_is_on_the_screen() -> None:
    async with console() as it:
        it.access.set_unit_state(sample.state("db1.service", "m1", active="failed", sub="failed"))
        await it.until_text("1 failed", "✖ db1")


async def test_stopping_the_focused_unit_is_one_key() -> None:
    async with console() as it:
        await it.press("down", "t")
        await it.until(lambda: bool(it.access.calls))
        call = ("set_target", "db1-sidekick.service", TargetState.LOADED)
        await it.until(lambda: call in it.access.calls)
        await it.until_text("stop db1-sidekick")


async def test_a_verb_that_does_not_work_now_says_why() -> None:
    async with console() as it:
        await it.press("s")
        await it.until_told("cache.service is launched already (r restarts)")
        assert not [call for call in it.access.calls if call[0] == "set_target"]


async def test_one_verb_on_several_units_asks_first_and_names_them() -> None:
    async with console() as it:
        await it.press("space", "space", "r")
        await it.until_text("Restart 2 units?", "db1-sidekick.service", "$ c101ctl restart")
        await it.press("enter")
        await it.until_gone("Restart 2 units?")
        assert ("restart", "cache.service") not in it.access.calls
        await it.press("r", "y")
        await it.until(lambda: ("restart", "db1-sidekick.service") in it.access.calls)
        assert ("restart", "cache.service") in it.access.calls


async def test_destroying_asks_even_for_one() -> None:
    async with console() as it:
        await it.press("D")
        await it.until_text("Destroy cache.service?")
        await it.press("y")
        await it.until_text("UNITS 8")


async def test_a_filter_works_with_every_letter_and_escape_clears_it() -> None:
    async with console() as it:
        await it.press("slash")
        await it.type("web")
        await it.until_text("3 of 9", "/web")
        await it.press("enter", "escape")
        await it.until_text("UNITS 9")


async def test_a_filter_that_is_not_understood_says_so_and_hides_nothing() -> None:
    async with console() as it:
        await it.press("slash")
        await it.type("/(/")
        await it.until_text("/(/: ")
        assert it.app.main.units.count() == (9, 9)


async def test_logs_of_the_focused_unit_leave_out_all_others() -> None:
    async with console() as it:
        await it.until_text("GET / 200 3ms")
        await it.app.main.units.table.run_action("cursor_end")
        await it.press("up", "l")
        await it.until_text("JOURNAL 1 of 7  web@1")
        await it.until_gone("upstream web@2 joined")
        await it.press("4", "a")
        await it.until_text("upstream web@2 joined")


async def test_zoom_gives_one_pane_the_screen_and_gives_it_back() -> None:
    async with console() as it:
        await it.press("3", "plus")
        await it.until_gone("MACHINES")
        await it.until_text("KEYS 7", "value of /services/db-master")
        await it.press("plus")
        await it.until_text("UNITS 9", "MACHINES 3")


async def test_the_detail_follows_its_unit_and_has_tabs() -> None:
    async with console() as it:
        await it.press("down", "enter")
        await it.until_text("active (running) on m1", "least loaded of 3 feasible", "processes")
        await it.press("right_square_bracket")
        await it.until_text("ExecStart=/bin/sleep infinity")
        await it.press("escape")
        await it.until_text("MACHINES 3")


async def test_why_explains_machine_by_machine() -> None:
    async with console() as it:
        await it.press("w")
        await it.until_text("m3  metadata memory=big is wanted, it has none")


async def test_a_machine_shows_its_units() -> None:
    async with console() as it:
        await it.press("2", "enter")
        await it.until_text("4 units", "db1-sidekick", "memory")
        await it.press("escape", "u")
        await it.until_text("UNITS 4 of 9", "/machine:m1")


async def test_the_power_of_a_machine_is_cut_by_one_key() -> None:
    async with console() as it:
        await it.press("2", "K")
        await it.until(lambda: ("power", sample.machine_id("m1"), False) in it.access.calls)
        it.access.set_state(sample.with_lost(it.access.state, "m1"))
        await it.until_text("2/3 machines", "lost")
        await it.press("K")
        await it.until(lambda: ("power", sample.machine_id("m1"), True) in it.access.calls)


async def test_power_is_refused_where_machines_are_not_ours() -> None:
    access = sample.access()
    access.can_power = False
    async with console(access) as it:
        await it.press("2", "K")
        await it.until_told("power is only cut in a cluster on this computer")


async def test_a_key_is_edited_and_written() -> None:
    async with console() as it:
        await it.press("3", "e")
        await it.until_text("Value of /services/db-master")
        await it.press("end")
        await it.type("2")
        await it.press("ctrl+o")
        await it.until(lambda: it.access.held[b"/services/db-master"].value == b"db12")


async def test_a_key_that_changed_meanwhile_shows_the_conflict_and_loses_nothing() -> None:
    async with console() as it:
        await it.press("3", "e")
        await it.until_text("Value of /services/db-master")
        held = it.access.held[b"/services/db-master"]
        it.access.held[held.key] = replace(held, value=b"theirs", mod_revision=99)
        await it.press("end")
        await it.type("9")
        await it.press("ctrl+o")
        await it.until_text("changed meanwhile to 'theirs' (rev 99)", "db19")
        assert it.access.held[held.key].value == b"theirs"
        await it.press("ctrl+o")
        await it.until(lambda: it.access.held[held.key].value == b"db19")


async def test_a_new_key_is_made_beside_the_focused_one() -> None:
    async with console() as it:
        await it.press("3", "n")
        await it.until_text("New key", "/services/")
        await it.type("cache")
        await it.press("enter")
        await it.type("on")
        await it.press("ctrl+o")
        await it.until_text("KEYS 8")
        assert it.access.held[b"/services/cache"].value == b"on"


async def test_the_clusters_own_keys_are_not_edited_by_hand() -> None:
    async with console() as it:
        await it.press("3", "g", "right", "down", "right", "down", "e")
        await it.until_told("keys under /c101/ are the cluster's own")


async def test_what_was_done_is_in_the_command_log_with_its_result() -> None:
    async with console() as it:
        await it.press("down")
        it.access.fail_with = C101Error("the disk is full", hint="make room")
        await it.press("t", "at")
        await it.until_text("c101ctl stop db1-sidekick.service", "the disk is full (make room)")


async def test_a_typed_command_does_what_the_key_does() -> None:
    async with console() as it:
        await it.press("colon")
        await it.type("stop db1")
        await it.press("enter")
        call = ("set_target", "db1.service", TargetState.LOADED)
        await it.until(lambda: call in it.access.calls)
        await it.press("colon")
        await it.type("fly away")
        await it.press("enter")
        await it.until_told("no such command: fly")


async def test_the_menu_has_what_can_be_done_and_why_the_rest_cannot() -> None:
    async with console() as it:
        await it.press("x")
        await it.until_text("Restart", "cache.service is launched already")
        await it.press("w")
        await it.until_text("metadata memory=big is wanted")


async def test_help_shows_every_key() -> None:
    async with console() as it:
        await it.press("question_mark")
        await it.until_text("Everywhere", "Zoom this pane", "Edit the value")
        await it.press("escape")
        await it.until_gone("Everywhere")


async def test_a_lost_kv_leaves_what_is_known_with_its_age_and_comes_back() -> None:
    async with console() as it:
        it.access.cut_kv("the host is gone")
        await it.until_text("reconnecting", "as of", "web@1")
        await it.press("down", "t")
        await it.until_told("the cluster's KV is not connected")
        it.access.restore_kv()
        await it.until_text("live 4ms")


async def test_a_kv_that_cannot_serve_is_shown_with_its_reason_and_the_age_stays() -> None:
    async with console() as it:
        state = it.access.state
        for problem, shown in (("", "as of"), ("no leader", "no leader"), ("a\ab", "ago: a␇b")):
            it.access.clusters.publish(
                ClusterUpdate(cluster=state, connected=False, problem=problem)
            )
            await it.until_text("reconnecting", shown)
        since = it.app.store.status("units").since
        it.access.clusters.publish(ClusterUpdate(cluster=state, connected=False))
        await it.until(lambda: not it.app.store.status("units").message)
        assert it.app.store.status("units").since == since
        it.access.clusters.publish(ClusterUpdate(cluster=state))
        await it.until_text("live 4ms")


async def test_a_fault_in_one_feed_stays_in_its_pane() -> None:
    async with console() as it:
        it.access.key_updates.cut(ZeroDivisionError("a fault of ours"))
        await it.until_text("KEYS 7", "failed")
        it.access.set_unit_state(sample.state("db1.service", "m1", active="failed", sub="failed"))
        await it.until_text("1 failed")
        it.access.key_updates.down = None
        await it.until(lambda: not it.app.store.status("keys").stale)


async def test_a_machine_that_is_not_reached_says_so_and_the_others_go_on() -> None:
    async with console() as it:
        it.access.usage_of[sample.machine_id("m2")].cut(LinkLostError("connection refused"))
        await it.until_text("down", "connection refused")
        it.access.say(sample.line("m1", "web@1.service", "still here", 1))
        await it.until_text("still here")


async def test_what_a_host_says_is_text_and_nothing_else() -> None:
    async with console() as it:
        hostile = "[red]boo[/red] \x1b]0;owned\x07 [link=x]y\u202e"
        it.access.say(sample.line("m1", "web@1.service", hostile, 1))
        await it.until_text("[red]boo[/red]")
        assert "\x1b" not in it.text
        assert "\u202e" not in it.text


async def test_at_eighty_columns_two_panes_are_stacked_and_the_rest_are_lines() -> None:
    async with console(size=(80, 24)) as it:
        await it.until_text("1 UNITS 9", "2 MACHINES 3  ● m1", "3 KEYS 7  rev", "4 JOURNAL")
        await it.press("2")
        await it.until_text("1 UNITS 9  ● 7/9", "disk=ssd")


async def test_a_terminal_that_is_too_small_is_told_so() -> None:
    async with console(size=(59, 15)) as it:
        await it.until_text("c101 needs 60 by 16 cells, and has 59 by 15")
        await it.pilot.resize_terminal(120, 36)
        await it.until_text("UNITS 9", "MACHINES 3")


async def test_a_count_in_the_header_is_a_door() -> None:
    async with console() as it:
        header = it.text.splitlines()[0]
        await it.pilot.click("#header", offset=(header.index("pending"), 0))
        await it.until_text("1 of 9", "/is:pending")


async def test_an_empty_cluster_says_what_to_do_next() -> None:
    async with console(FakeAccess(ClusterState()), ready=False) as it:
        await it.until_text("no units yet", "no machines yet", "no keys yet")


async def test_quitting_asks_where_the_cluster_ends_with_the_console() -> None:
    async with console() as it:
        await it.press("q")
        await it.until_text("Quit, and end the cluster?")
        await it.press("y")
        await it.until(lambda: not it.app.is_running)
    assert it.access.closed


async def test_quitting_asks_nothing_where_nothing_ends() -> None:
    access = sample.access()
    access.ends_at_quit = False
    async with console(access) as it:
        await it.press("q")
        await it.until(lambda: not it.app.is_running)
