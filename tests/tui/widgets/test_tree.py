"""The virtual tree."""

from c101.tui.store.key_tree import KeyTree
from c101.tui.widgets.tree import VirtualTree
from tests.tui.widgets.apps import Keys, WidgetApp, screen_lines, tree_of

SIZE = (60, 10)
KEYS = ("/services/web/1", "/services/web/2", "/services/db1", "/c101/units/web@1.service/file")


def highlighted(app: WidgetApp) -> list[str | None]:
    return [m.path for m in app.heard if isinstance(m, VirtualTree.NodeHighlighted)]


async def test_directories_come_first_shut_with_what_they_hold_counted() -> None:
    tree = tree_of(*KEYS)
    async with WidgetApp(tree).run_test(size=SIZE):
        assert screen_lines(tree)[:4] == [
            " KEY                               VALUE                REV",
            "▌▸ /c101/                          1",
            " ▸ /services/                      3",
            "",
        ]


async def test_right_opens_and_goes_in_left_goes_out_and_shuts() -> None:
    tree = tree_of(*KEYS)
    async with WidgetApp(tree).run_test(size=SIZE) as pilot:
        await pilot.press("down", "right")
        assert [line.split("  ")[0] for line in screen_lines(tree)[2:3]] == ["▌▾ /services/"]
        assert "     db1" in screen_lines(tree)[3]
        await pilot.press("right", "down", "right", "right")
        assert tree.cursor_path == "/services/web/1"
        assert screen_lines(tree)[5].startswith("▌      1        ")
        await pilot.press("left")
        assert tree.cursor_path == "/services/web/"
        await pilot.press("left", "left")
        assert tree.cursor_path == "/services/"
        await pilot.press("left")
        assert len([line for line in screen_lines(tree) if line]) == 3


async def test_enter_opens_a_directory_and_chooses_a_key() -> None:
    tree = tree_of(*KEYS)
    app = WidgetApp(tree)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("down", "enter", "down", "enter")
        await pilot.pause()
        chosen = [m.path for m in app.heard if isinstance(m, VirtualTree.NodeSelected)]
        assert chosen == ["/services/db1"]
        assert highlighted(app) == ["/c101/", "/services/", "/services/db1"]
        await pilot.press("up", "enter")
        assert "db1" not in "\n".join(screen_lines(tree))


async def test_a_click_on_the_arrow_opens_a_click_on_the_name_does_not() -> None:
    tree = tree_of(*KEYS)
    async with WidgetApp(tree).run_test(size=SIZE) as pilot:
        await pilot.click(tree, offset=(6, 2))
        assert tree.cursor_path == "/services/"
        assert "▸ /services/" in screen_lines(tree)[2]
        await pilot.click(tree, offset=(1, 2))
        assert "▾ /services/" in screen_lines(tree)[2]


async def test_the_cursor_stays_with_its_key_as_keys_come_and_go() -> None:
    model = Keys(KeyTree(KEYS, ["/services/", "/services/web/"]))
    tree = tree_of()
    tree.set_model(model)
    async with WidgetApp(tree).run_test(size=SIZE) as pilot:
        assert tree.show_path("/services/web/2")
        for number in range(30):
            model.tree.insert(f"/services/a{number}")
        tree.refresh_rows()
        await pilot.pause()
        assert tree.cursor_path == "/services/web/2"
        assert any(line.startswith("▌      2 ") for line in screen_lines(tree))


async def test_a_path_is_shown_by_opening_what_hides_it() -> None:
    tree = tree_of(*KEYS)
    async with WidgetApp(tree).run_test(size=SIZE):
        assert tree.show_path("/c101/units/web@1.service/file")
        assert tree.cursor_path == "/c101/units/web@1.service/file"
        assert not tree.show_path("/nothing/here")


async def test_keys_are_marked_directories_are_passed_by() -> None:
    tree = tree_of(*KEYS, opened=["/services/"])
    async with WidgetApp(tree).run_test(size=SIZE) as pilot:
        await pilot.press("space", "space", "space", "space")
        assert tree.marks == {"/services/db1"}


async def test_a_large_flat_directory_opens_and_scrolls() -> None:
    tree = tree_of()
    tree.set_model(Keys(KeyTree(f"/flat/{i:07}" for i in range(200_000))))
    async with WidgetApp(tree).run_test(size=SIZE) as pilot:
        await pilot.press("right", "end")
        assert tree.cursor_path == "/flat/0199999"
        assert screen_lines(tree)[-1].startswith("▌    0199999")


async def test_hostile_keys_are_shown_never_obeyed() -> None:
    tree = tree_of("/\x1b]0;x\x07[b]x\u202e/\x00", opened=["/\x1b]0;x\x07[b]x\u202e/"])
    async with WidgetApp(tree).run_test(size=SIZE):
        assert screen_lines(tree)[1].startswith("▌▾ /␛[b]x�/")
        assert screen_lines(tree)[2].startswith("     ␀ ")
