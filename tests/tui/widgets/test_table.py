"""The virtual table."""

import pytest
from textual import events
from textual.pilot import Pilot

from c101.tui.render.cells import Cell
from c101.tui.widgets.row_painter import CURSOR_GLYPH, FLASH_TICKS, MARK_GLYPH
from c101.tui.widgets.row_view import RowView
from c101.tui.widgets.table import VirtualTable
from tests.tui.widgets.apps import UnitRows, WidgetApp, screen_lines, table_of, units

SIZE = (60, 10)


def highlighted(app: WidgetApp) -> list[str | None]:
    return [m.key for m in app.heard if isinstance(m, VirtualTable.RowHighlighted)]


async def test_cells_stand_in_their_columns_under_a_header() -> None:
    model = units(2)
    model.put("a-unit-with-a-very-long-name@production.service", active="failed")
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE):
        assert screen_lines(table)[:4] == [
            "   UNIT                              MACHINE ACTIVE   SINCE",
            "▌● web@0.service                     m1      active      2m",
            " ● web@1.service                     m2      active      2m",
            " ✖ a-unit-with-a-ve…oduction.service m1      failed      2m",
        ]


async def test_a_narrow_table_leaves_columns_out() -> None:
    table = table_of(units(1))
    async with WidgetApp(table).run_test(size=(28, 5)):
        assert screen_lines(table)[:2] == [
            "   UNIT            ACTIVE",
            "▌● web@0.service   active",
        ]


async def test_a_reason_stands_under_its_row_wrapped_not_cut() -> None:
    model = units(3)
    model.notes["web@1.service"] = Cell("why: 0 of 3 machines have memory=big", "warn")
    table = table_of(model)
    async with WidgetApp(table).run_test(size=(40, 9)):
        assert screen_lines(table)[1:6] == [
            "▌● web@0.service m1      active      2m",
            " ● web@1.service m2      active      2m",
            "     why: 0 of 3 machines have",
            "     memory=big",
            " ● web@2.service m3      active      2m",
        ]


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["down"], 1),
        (["j", "j", "k"], 1),
        (["end"], 99),
        (["G", "up"], 98),
        (["G", "g"], 0),
        (["pagedown"], 8),
        (["pagedown", "pagedown", "pageup"], 8),
        (["G", "home"], 0),
        (["up"], 0),
    ],
)
async def test_keys_move_the_cursor_and_keep_it_in_sight(keys: list[str], row: int) -> None:
    table = table_of(units(100))
    async with WidgetApp(table).run_test(size=SIZE) as pilot:
        await pilot.press(*keys)
        assert table.cursor_key == f"web@{row}.service"
        assert any(line.startswith(CURSOR_GLYPH) for line in screen_lines(table))


async def test_the_cursor_stays_with_its_row_when_rows_move() -> None:
    model = units(50)
    table = table_of(model)
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        table.cursor_key = "web@30.service"
        await pilot.pause()
        line = screen_lines(table).index(next(x for x in screen_lines(table) if "web@30." in x))
        for key in ("a.service", "b.service", "c.service"):
            model.put(key)
            model.order.insert(0, model.order.pop())
        table.refresh_rows()
        await pilot.pause()
        assert table.cursor_key == "web@30.service"
        assert "web@30." in screen_lines(table)[line], "the row stays on its line of the screen"
        model.order.sort(reverse=True)
        table.refresh_rows()
        await pilot.pause()
        assert table.cursor_key == "web@30.service"
        assert highlighted(app)[-1] == "web@30.service"


async def test_the_cursor_goes_to_the_next_row_when_its_own_is_gone() -> None:
    model = units(3)
    table = table_of(model)
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("j")
        model.order.remove("web@1.service")
        table.refresh_rows()
        model.order.remove("web@2.service")
        table.refresh_rows()
        model.order.clear()
        table.refresh_rows()
        await pilot.press("j", "space", "enter")
        await pilot.pause()
        assert highlighted(app) == [
            "web@0.service", "web@1.service", "web@2.service", "web@0.service", None,
        ]  # fmt: skip


async def test_a_changed_row_asks_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model = units(10_000)
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE) as pilot:
        await pilot.pause()
        model.asked = 0
        model.put("web@3.service", active="failed")
        model.put("web@9000.service", active="failed")
        table.refresh_rows(["web@3.service", "web@9000.service"])
        await pilot.pause()
        assert model.asked == 1
        assert "✖ web@3.service" in "\n".join(screen_lines(table))


async def test_a_note_that_appears_makes_room_for_itself() -> None:
    model = units(3)
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE) as pilot:
        model.notes["web@0.service"] = Cell("why: no machine")
        table.refresh_rows(["web@0.service"])
        await pilot.pause()
        assert screen_lines(table)[2].strip() == "why: no machine"
        del model.notes["web@0.service"]
        table.refresh_rows(["web@0.service"])
        await pilot.pause()
        assert "web@1" in screen_lines(table)[2]


async def test_enter_and_a_double_click_choose_a_row() -> None:
    table = table_of(units(5))
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("j", "enter")
        await pilot.double_click(table, offset=(5, 4))
        await pilot.pause()
        chosen = [m.key for m in app.heard if isinstance(m, VirtualTable.RowSelected)]
        assert chosen == ["web@1.service", "web@3.service"]


async def test_a_click_moves_the_cursor_and_on_a_title_tells_the_column() -> None:
    table = table_of(units(5))
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.click(table, offset=(5, 3))
        assert table.cursor_key == "web@2.service"
        await pilot.click(table, offset=(38, 0))
        await pilot.pause()
        clicked = [m.key for m in app.heard if isinstance(m, VirtualTable.HeaderClicked)]
        assert clicked == ["machine"]
        await pilot.click(table, offset=(5, 9))
        assert table.cursor_key == "web@2.service", "there is no row to click there"


async def test_a_sorted_column_carries_an_arrow() -> None:
    table = table_of(units(2))
    async with WidgetApp(table).run_test(size=SIZE):
        table.set_sort("unit")
        assert "UNIT▲" in screen_lines(table)[0]
        table.set_sort("since", descending=True)
        assert screen_lines(table)[0].endswith("SINC▼")
        table.set_sort(None)
        assert "▲" not in screen_lines(table)[0]


async def test_space_marks_rows_and_marks_stay_with_them() -> None:
    model = units(4)
    table = table_of(model)
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space", "space", "up", "space")
        assert table.marks == {"web@0.service"}
        assert any(isinstance(m, RowView.MarksChanged) for m in app.heard)
        model.order.reverse()
        table.refresh_rows()
        assert screen_lines(table)[4].startswith(MARK_GLYPH)
        table.marks = {"web@3.service"}
        assert screen_lines(table)[1].startswith(MARK_GLYPH)


async def test_a_flash_fades_in_two_steps() -> None:
    table = table_of(units(3))
    async with WidgetApp(table).run_test(size=SIZE) as pilot:

        def background(y: int) -> object:
            return next(iter(table.render_line(y))).style

        plain = background(3)
        table.flash(["web@2.service"])
        strong = background(3)
        for _ in range(FLASH_TICKS // 2):
            table._fade()
        faded = background(3)
        for _ in range(FLASH_TICKS // 2):
            table._fade()
        await pilot.pause()
        assert len({plain, strong, faded}) == 3
        assert background(3) == plain


async def test_what_matches_the_filter_stands_out() -> None:
    table = table_of(units(3))
    async with WidgetApp(table).run_test(size=SIZE):
        table.highlight = "EB@1"
        pieces = [segment.text for segment in table.render_line(2)]
        assert "eb@1" in pieces
        table.highlight = None
        assert "eb@1" not in [segment.text for segment in table.render_line(2)]


@pytest.mark.parametrize("state", ["loading", "empty", "error"])
async def test_a_table_without_rows_says_why(state: str) -> None:
    table = VirtualTable([])
    async with WidgetApp(table).run_test(size=(30, 8)) as pilot:
        table.set_state(state, "a sentence that is longer than the table is wide")  # type: ignore[arg-type]
        await pilot.pause()
        shown = " ".join(line.strip() for line in screen_lines(table)).split()
        assert " ".join(shown[1:]) == "a sentence that is longer than the table is wide"


async def test_a_model_that_shrank_and_has_not_said_so_breaks_nothing() -> None:
    model = units(20)
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE) as pilot:
        await pilot.press("G")
        del model.order[3:]
        table.refresh()
        await pilot.press("up", "down", "pageup", "space", "enter")
        table.refresh_rows()
        await pilot.pause()
        assert table.cursor_key in model.order


HOSTILE = "\x1b[31m[bold]web\u202e\u200b@日本.service[/bold]\x07"


async def test_hostile_text_is_shown_never_obeyed() -> None:
    model = UnitRows()
    model.put(HOSTILE)
    model.notes[HOSTILE] = Cell("[red]why\x1b]0;x\x07")
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE):
        row, note = screen_lines(table)[1:3]
        assert "␛[bold]web��@日本.service" in row
        assert note.strip() == "[red]why␛"
        assert table.render_line(1).cell_length == table.render_line(0).cell_length


async def test_wide_characters_keep_the_columns_aligned() -> None:
    model = units(1)
    model.put("日本語サービス-frontend@12.service")
    model.put("e\u0301te\u0301.service")
    table = table_of(model)
    async with WidgetApp(table).run_test(size=SIZE):
        assert {strip.cell_length for strip in map(table.render_line, range(10))} == {59}
        for y in (1, 2, 3):
            assert table.render_line(y).crop(37, 39).text == "m1"


async def test_every_theme_and_no_colour_at_all_can_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = table_of(units(3))
    app = WidgetApp(table)
    async with app.run_test(size=SIZE) as pilot:
        for theme in app.available_themes:
            app.theme = theme
            await pilot.pause()
            assert "web@1.service" in app.export_screenshot()
    monkeypatch.setenv("NO_COLOR", "1")
    bare = table_of(units(3))
    async with WidgetApp(bare).run_test(size=SIZE):
        assert screen_lines(bare)[1].startswith("▌● web@0.service")


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    table = table_of(units(50))
    async with WidgetApp(table).run_test(size=SIZE) as pilot:
        await wheel_down(pilot, table)
        assert table.cursor_key == "web@0.service"
        assert "web@0." not in "\n".join(screen_lines(table))


async def wheel_down(pilot: Pilot[None], table: VirtualTable) -> None:
    await pilot._post_mouse_events([events.MouseScrollDown], table, offset=(5, 5), button=0)
    await pilot.pause()
