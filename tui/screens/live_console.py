"""What the table's actions do on the main screen."""

from typing import TYPE_CHECKING

from c101.tui.actions.action import KEYS, MACHINES, PANES, UNITS, Context
from c101.tui.actions.table import ACTIONS, valid_in
from c101.tui.screens import typed
from c101.tui.screens.action_menu import ActionMenu
from c101.tui.screens.confirm import ConfirmScreen
from c101.tui.screens.operator import names_of
from c101.tui.screens.reading import CommandLogScreen, HelpScreen
from c101.tui.store.arrangement import COMPANION, Mode, Wish
from c101.tui.store.journal import Scope
from c101.tui.store.key_tree import parent_of

if TYPE_CHECKING:
    from c101.tui.screens.main import MainScreen

#: What a door of the header filters the units by.
_DOORS = {"failed": "is:failed", "pending": "is:pending"}

#: What a menu of deeds need not offer.
_NOT_IN_MENU = {"view.menu", "view.back", "app.leave"} | {
    action.id for action in ACTIONS if action.id.startswith("pane.")
}


class LiveConsole:
    """The ``Console`` of the actions, in front of the main screen."""

    def __init__(self, screen: "MainScreen") -> None:
        self._screen = screen

    # Panes.

    def focus_pane(self, pane: str) -> None:
        """Give the keyboard to a pane; a zoomed view goes along, a detail closes."""
        screen = self._screen
        wish = screen.wish
        companion = wish.companion if pane == COMPANION else pane
        stays = wish.detail and pane in {wish.origin, KEYS}
        screen.see(
            Wish(
                focused=pane,
                companion=companion,
                zoomed=wish.zoomed,
                detail=stays and not wish.zoomed,
                origin=wish.origin,
            )
        )
        screen.panes[pane].focus_body()

    def step_pane(self, step: int) -> None:
        """Go to the next pane, round and round."""
        at = PANES.index(self._screen.wish.focused)
        self.focus_pane(PANES[(at + step) % len(PANES)])

    def toggle_zoom(self) -> None:
        """Give the focused pane the whole screen, or take it back."""
        wish = self._screen.wish
        self._see(zoomed=not wish.zoomed)

    def _see(self, *, zoomed: bool | None = None, detail: bool | None = None) -> None:
        wish = self._screen.wish
        self._screen.see(
            Wish(
                focused=wish.focused,
                companion=wish.companion,
                zoomed=wish.zoomed if zoomed is None else zoomed,
                detail=wish.detail if detail is None else detail,
                origin=wish.origin,
            )
        )

    def open_filter(self) -> None:
        """Let the focused pane be filtered."""
        self._screen.pane.open_filter()

    def go_back(self) -> None:
        """Close what was opened last: detail, filter, marks, zoom."""
        screen = self._screen
        if screen.wish.detail:
            self.close_detail()
        elif screen.pane.clear_filter():
            pass
        elif screen.store.units.list.marks:
            self.clear_marks()
        elif screen.wish.zoomed:
            self._see(zoomed=False)

    def close_detail(self) -> None:
        """Show the panes again."""
        self._see(detail=False)
        self._screen.pane.focus_body()

    def go_through(self, door: str) -> None:
        """Follow a count of the header to what it counts."""
        if door in PANES:
            self.focus_pane(door)
        elif door in _DOORS:
            self.focus_pane(UNITS)
            self._screen.units.set_filter(_DOORS[door])

    # Windows.

    def open_command_line(self) -> None:
        """Let a command be typed."""
        self._screen.command_line.begin()

    def open_palette(self) -> None:
        """Open the command palette."""
        self._screen.app.action_command_palette()

    def open_menu(self) -> None:
        """Show everything that can be done here."""
        context = self._screen.context()
        actions = [action for action in valid_in(context.pane) if action.id not in _NOT_IN_MENU]

        def chosen(action_id: str | None) -> None:
            if action_id is not None:
                self._screen.choose(action_id)

        names = names_of(context)
        about = names[0] if len(names) == 1 else f"{len(names)} units" if names else context.pane
        self._screen.app.push_screen(ActionMenu(actions, context, about), chosen)

    def open_command_log(self) -> None:
        """Show what was done from here."""
        screen = self._screen
        screen.app.push_screen(CommandLogScreen(screen.store.commands, screen.zone))

    def open_help(self) -> None:
        """Show every key."""
        self._screen.app.push_screen(HelpScreen())

    def switch_theme(self) -> None:
        """Wear the other theme."""
        app = self._screen.app
        app.theme = "c101-dark" if app.theme == "c101-light" else "c101-light"

    def quit(self) -> None:
        """Go back; at the root, end, after asking where something ends with it."""
        screen = self._screen
        if screen.wish.detail or screen.wish.zoomed:
            self.go_back()
            return
        if not screen.access.ends_at_quit:
            self.leave()
            return

        def answered(yes: bool | None) -> None:  # noqa: FBT001 - the answer itself
            if yes:
                self.leave()

        names = [f"the cluster {screen.access.name}, with every unit on it"]
        screen.app.push_screen(ConfirmScreen("Quit, and end the cluster?", names), answered)

    def leave(self) -> None:
        """End at once."""
        self._screen.app.exit()

    # Lists.

    def open_detail(self, tab: str) -> None:
        """Show the focused unit or machine at length."""
        screen = self._screen
        origin = screen.wish.focused
        lines = screen.journal.recent()
        unit, machine = screen.units.focused_row, screen.machines.focused_row
        if origin == UNITS and unit is not None:
            screen.see(Wish(focused=UNITS, detail=True, origin=UNITS))
            screen.detail.show_unit(unit.key, tab, lines)
        elif origin == MACHINES and machine is not None:
            screen.see(Wish(focused=MACHINES, companion=MACHINES, detail=True, origin=MACHINES))
            screen.detail.show_machine(machine.id, lines)

    def toggle_mark(self) -> None:
        """Mark the focused unit, or unmark it."""
        self._screen.units.toggle_mark()

    def clear_marks(self) -> None:
        """Unmark every unit."""
        self._screen.units.clear_marks()

    def sort_next(self) -> None:
        """Sort the focused list by its next column."""
        screen = self._screen
        if screen.wish.focused == MACHINES:
            screen.machines.sort_next()
        else:
            screen.units.sort_next()

    def show_machine_units(self, context: Context) -> None:
        """Show only the units of the focused machine."""
        if context.machine is not None:
            self.focus_pane(UNITS)
            self._screen.units.set_filter(f"machine:{context.machine.name}")

    # Journal.

    def show_logs(self, context: Context) -> None:
        """Show only the lines of what is focused."""
        units = frozenset(unit.name for unit in context.units)
        machine = context.machine
        scope = Scope(units, machine.id if machine is not None and not units else "")
        self.close_detail()
        self._screen.journal.set_scope(scope)
        if self._screen.arrangement is None or self._screen.arrangement.mode is not Mode.WIDE:
            return
        if self._screen.wish.zoomed:
            self.focus_pane(COMPANION)

    def show_all_logs(self) -> None:
        """Show every line."""
        self._screen.journal.set_scope(Scope())

    def toggle_follow(self) -> None:
        """Follow the journal's end, or hold still."""
        self._screen.journal.toggle_follow()

    # The cluster.

    def start_units(self, context: Context) -> None:
        """Start units."""
        self._screen.operator.start(context)

    def stop_units(self, context: Context) -> None:
        """Stop units."""
        self._screen.operator.stop(context)

    def restart_units(self, context: Context) -> None:
        """Restart units."""
        self._screen.operator.restart(context)

    def unload_units(self, context: Context) -> None:
        """Unload units."""
        self._screen.operator.unload(context)

    def destroy_units(self, context: Context) -> None:
        """Destroy units."""
        self._screen.operator.destroy(context)

    def toggle_power(self, context: Context) -> None:
        """Cut the focused machine's power, or switch it on."""
        if context.machine is not None:
            self._screen.operator.power(context.machine)

    def edit_key(self, context: Context) -> None:
        """Edit the focused key."""
        record = self._screen.keys_pane.focused_record
        if context.key is not None and record is not None:
            self._screen.operator.edit(context.key, record.raw)

    def new_key(self, context: Context) -> None:
        """Write a new key beside the focused one."""
        key = context.key
        directory = "/" if key is None else parent_of(key.path) if key.exists else key.path
        self._screen.operator.create(directory or "/")

    def delete_key(self, context: Context) -> None:
        """Delete the focused key."""
        records = self._screen.store.keys.records
        record = records.get(context.key.path) if context.key is not None else None
        if context.key is not None and record is not None:
            self._screen.operator.delete(context.key, record.raw, record.mod_revision)

    def obey(self, text: str) -> None:
        """Do what was typed."""
        problem = typed.obey(text, self._screen)
        if problem:
            self._screen.notify(problem, severity="warning", markup=False, timeout=6)
