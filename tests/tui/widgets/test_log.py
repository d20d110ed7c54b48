"""The virtual log."""

import pytest

from c101.tui.render.cells import Cell
from c101.tui.widgets import log as log_module
from c101.tui.widgets.log import LogLine, VirtualLog
from tests.tui.widgets.apps import WidgetApp, log_line, log_lines, screen_lines

SIZE = (60, 8)


class HandClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def shown(log: VirtualLog) -> str:
    return "\n".join(screen_lines(log))


async def test_lines_stand_in_columns_and_the_end_is_followed() -> None:
    log = VirtualLog()
    log.append(log_lines(0, 100))
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        await pilot.pause()
        log.flush()
        assert screen_lines(log)[-1] == " 18:42:39 m1 web@3 GET /items/99 200"
        log.append(log_lines(100, 120))
        log.flush()
        assert screen_lines(log)[-1] == " 18:42:59 m3 web@3 GET /items/119 200"
        assert log.following


async def test_scrolling_up_holds_the_picture_and_counts_what_comes() -> None:
    log = VirtualLog()
    log.append(log_lines(0, 100))
    app = WidgetApp(log)
    async with app.run_test(size=SIZE) as pilot:
        log.flush()
        await pilot.press("up", "k", "pageup")
        before = screen_lines(log)
        log.append(log_lines(100, 228))
        log.flush()
        assert screen_lines(log)[:-1] == before[:-1]
        assert screen_lines(log)[-1].endswith(" ▼ 128 new")
        assert log.new_count == 128
        await pilot.press("end")
        assert log.following
        assert log.new_count == 0
        assert "/items/227 " in screen_lines(log)[-1]
        await pilot.pause()
        heard = [m.following for m in app.heard if isinstance(m, VirtualLog.FollowChanged)]
        assert heard == [False, True]


async def test_a_held_picture_stays_though_the_oldest_lines_are_forgotten() -> None:
    log = VirtualLog(lines_max=100)
    log.append(log_lines(0, 100))
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        log.flush()
        await pilot.press("pageup", "pageup")
        before = screen_lines(log)[:-1]
        log.append(log_lines(100, 150))
        log.flush()
        await pilot.pause()
        assert screen_lines(log)[:-1] == before
        log.append(log_lines(150, 400))
        log.flush()
        await pilot.pause()
        assert "/items/300 " in screen_lines(log)[0], "what was held is gone: the oldest is shown"
        assert log.line_count == 100


async def test_scrolling_down_to_the_end_follows_again() -> None:
    log = VirtualLog()
    log.append(log_lines(0, 50))
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        log.flush()
        await pilot.press("up", "up", "down")
        assert not log.following
        await pilot.press("down")
        assert log.following


async def test_a_click_on_the_badge_follows_again() -> None:
    log = VirtualLog()
    log.append(log_lines(0, 50))
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        log.flush()
        await pilot.press("up")
        log.append(log_lines(50, 60))
        log.flush()
        await pilot.click(log, offset=(20, 7))
        assert not log.following
        await pilot.click(log, offset=(55, 7))
        assert log.following


@pytest.mark.parametrize("wraps", [False, True])
async def test_a_filter_shows_what_matches_of_old_lines_and_new(wraps: bool) -> None:
    log = VirtualLog(wrap=wraps)
    log.append(log_lines(0, 40))
    async with WidgetApp(log).run_test(size=SIZE):
        log.flush()
        log.set_filter("ITEMS/3")
        assert log.view_count == 11
        log.append([log_line(3), log_line(4)])
        log.flush()
        assert log.view_count == 12
        assert "items/3" in [s.text.lower().strip("/") for s in log.render_line(0)]
        log.set_filter(lambda line: line.style == "bad")
        assert log.view_count == 6
        log.set_filter("m2")
        assert all(" m2 " in line for line in screen_lines(log) if line)
        log.set_filter(None)
        assert log.view_count == 42


async def test_a_long_line_is_cut_moved_sideways_or_wrapped() -> None:
    log = VirtualLog()
    text = "alpha beta gamma delta epsilon zeta eta theta iota"
    async with WidgetApp(log).run_test(size=(40, 8)) as pilot:
        log.append([log_line(1, text), log_line(2, "short")])
        log.flush()
        assert screen_lines(log)[0] == " 18:42:01 m2 web@1 alpha beta gamma de…"
        await pilot.press("right", "right")
        assert screen_lines(log)[0] == " 18:42:01 m2 web@1  delta epsilon zeta…"
        await pilot.press("left", "left", "left")
        log.wraps = True
        assert screen_lines(log)[:4] == [
            " 18:42:01 m2 web@1 alpha beta gamma",
            "                   delta epsilon zeta",
            "                   eta theta iota",
            " 18:42:02 m3 web@2 short",
        ]


async def test_wrapped_lines_follow_hold_and_forget_like_others() -> None:
    log = VirtualLog(lines_max=50, wrap=True)
    text = "one two three four five six seven eight nine ten"
    async with WidgetApp(log).run_test(size=(40, 8)) as pilot:
        for number in range(120):
            log.append([log_line(number, f"{number}: {text}")])
            log.flush()
        assert "118: one" in shown(log)
        await pilot.press("pageup", "pageup")
        before = screen_lines(log)[:-1]
        log.append([log_line(number, f"{number}: {text}") for number in range(120, 130)])
        log.flush()
        await pilot.pause()
        assert screen_lines(log)[:-1] == before
        await pilot.resize_terminal(80, 8)
        assert log.line_count == 50


async def test_too_many_lines_between_flushes_are_dropped_and_counted() -> None:
    log = VirtualLog()
    log.append(log_lines(0, log_module.PENDING_MAX + 5))
    async with WidgetApp(log).run_test(size=SIZE):
        log.flush()
        assert log.dropped_count == 5
        assert log.line_count == log_module.PENDING_MAX
        log.clear()
        assert log.dropped_count == log.line_count == log.view_count == 0


async def test_the_rate_is_counted_by_the_clock() -> None:
    clock = HandClock()
    log = VirtualLog(clock=clock)
    async with WidgetApp(log).run_test(size=SIZE):
        for count in (3, 0, 6):
            log.append(log_lines(0, count))
            log.flush()
            clock.now += 1
        assert log.rate.history(4) == (3, 0, 6)
        assert log.rate.per_second(3) == 3.0
        clock.now += 1000
        assert log.rate.history(3) == (0, 0, 0)


async def test_lines_are_shown_by_the_timer_within_a_moment() -> None:
    log = VirtualLog()
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        log.append([log_line(1, "here I am")])
        await pilot.pause(0.2)
        assert "here I am" in shown(log)


async def test_an_empty_log_says_why() -> None:
    log = VirtualLog()
    async with WidgetApp(log).run_test(size=SIZE):
        log.set_state("empty", "no line yet")
        assert "○ no line yet" in shown(log)
        log.append([log_line(1)])
        log.flush()
        assert "no line yet" not in shown(log)


async def test_what_is_selected_is_copied_as_it_stands() -> None:
    log = VirtualLog()
    async with WidgetApp(log).run_test(size=SIZE) as pilot:
        log.append(log_lines(0, 30))
        log.flush()
        await pilot.hover(log, offset=(3, 3))
        await pilot.mouse_down(log, offset=(19, 5))
        await pilot.hover(log, offset=(36, 6))
        await pilot.mouse_up(log, offset=(36, 6))
        text = pilot.app.screen.get_selected_text()
        assert text is not None
        assert text.splitlines()[0] == "GET /items/27 200"
        assert text.splitlines()[1].startswith(" 18:42:28 m2 web@0 GET")


async def test_hostile_lines_are_shown_never_obeyed() -> None:
    log = VirtualLog()
    async with WidgetApp(log).run_test(size=SIZE):
        log.append([LogLine((Cell("\x1b[2Jm1"),), "[red]\x1b]0;x\x07\u202e日本\x07 end")])
        log.flush()
        assert screen_lines(log)[0] == " ␛m1    [red]␛�日本␇ end"
        assert {log.render_line(y).cell_length for y in range(8)} == {59}
