"""The main screen: four panes, the detail, the bars, and every action of the table."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Input, Static

from c101.core.clock import Clock
from c101.tui.actions.action import Action, Context, MachineFocus, UnitFocus, needs_confirmation
from c101.tui.actions.table import BY_ID, valid_in
from c101.tui.feeds.access import ClusterAccess
from c101.tui.keymap import Keymap
from c101.tui.messages import ActionPressed, FocusChanged, PaneChanged
from c101.tui.panes.bars import FooterLine, HeaderLine
from c101.tui.panes.detail import Detail, Why
from c101.tui.panes.journal import JournalPane
from c101.tui.panes.keys import KeysPane
from c101.tui.panes.machines import MachinesPane
from c101.tui.panes.pane import Pane
from c101.tui.panes.title_line import TitleLine
from c101.tui.panes.units import UnitsPane
from c101.tui.render import commands, guide
from c101.tui.screens.command_line import CommandLine
from c101.tui.screens.confirm import ConfirmScreen
from c101.tui.screens.live_console import LiveConsole
from c101.tui.screens.operator import Operator, names_of
from c101.tui.store.arrangement import Arrangement, Mode, Wish, arrange
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.pane_status import Freshness

TOO_SMALL = "c101 needs 60 by 16 cells, and has {columns} by {rows}"

_CLASSES = frozenset({"-single", *(f"-{mode.value}" for mode in Mode)})


class MainScreen(Screen[None]):
    """Turns keys into actions, and actions into what the panes and the cluster do."""

    AUTO_FOCUS: ClassVar[str | None] = None

    def __init__(
        self,
        access: ClusterAccess,
        store: ConsoleStore,
        keymap: Keymap,
        clock: Clock,
        *,
        why: Why,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.access = access
        self.store = store
        self.keymap = keymap
        self.clock = clock
        self.zone = zone
        self.operator = Operator(self, access, store, clock, logged=self._command_logged)
        self.header = HeaderLine(id="header")
        self.footer = FooterLine(id="footer")
        self.units = UnitsPane(store, clock, lambda: access.address)
        self.machines = MachinesPane(store, clock, zone)
        self.keys_pane = KeysPane(store, clock)
        self.journal = JournalPane(store, clock, zone)
        self.detail = Detail(store, access, clock, zone, why)
        self.command_line = CommandLine(store)
        self.too_small = Static("", id="too-small", markup=False)
        self.panes: dict[str, Pane] = {
            pane.NAME: pane for pane in (self.units, self.machines, self.keys_pane, self.journal)
        }
        self.console = LiveConsole(self)
        self.wish = Wish()
        self.arrangement: Arrangement | None = None
        for key in keymap.all_keys:
            self._bindings.bind(key, f"press('{key}')", show=False)

    def compose(self) -> ComposeResult:
        """Lay out header, panes and footer."""
        # Before there are styles to work out: each change of a class works all of them out anew.
        self._arrange(update=False)
        yield self.header
        with Container(id="panes"):
            yield self.units
            yield self.machines
            yield self.detail
            yield self.keys_pane
            yield self.journal
        yield self.command_line
        yield self.footer
        yield self.too_small

    def on_mount(self) -> None:
        """Focus the units, and let the clock tick."""
        self.command_line.display = False
        for pane in self.panes.values():
            pane.refresh_title()
        self.units.focus_body()
        self._refresh_header()
        self._refresh_footer()
        self.set_interval(1.0, self._tick)

    # What there is to see.

    def on_resize(self, event: events.Resize) -> None:
        """Arrange the panes anew."""
        self._arrange(event.size.width, event.size.height)

    def _arrange(
        self, columns: int | None = None, rows: int | None = None, *, update: bool = True
    ) -> None:
        size = self.app.size
        columns, rows = columns or size.width, rows or size.height
        plan = arrange(columns, rows, self.wish)
        self.too_small.update(TOO_SMALL.format(columns=columns, rows=rows))
        if plan == self.arrangement:
            return
        self.arrangement = plan
        classes = {f"-{plan.mode.value}"}
        if len(plan.shown) + plan.detail == 1:
            classes.add("-single")
        if classes != self.classes & _CLASSES:
            self.remove_class(*_CLASSES, update=False)
            self.add_class(*classes, update=False)
            if update:
                self.update_node_styles()
        for name, pane in self.panes.items():
            pane.display = name in plan.shown or name in plan.summaries
            pane.set_class(name in plan.summaries, "-summary", update=update)
            if update:
                pane.refresh_title()
        self.detail.display = plan.detail

    def see(self, wish: Wish) -> None:
        """Show what *wish* says."""
        self.wish = wish
        self._arrange()

    @property
    def pane(self) -> Pane:
        """The pane that has the focus, or had it last."""
        return self.panes[self.wish.focused]

    def context(self) -> Context:
        """Return what is focused, for the actions' predicates."""
        pane = self.pane
        connected = self.store.status("units").freshness is Freshness.LIVE
        return Context(
            pane=pane.NAME,
            connected=connected,
            can_power=self.access.can_power,
            **pane.context(),
        )

    def unit_context(self, units: Sequence[UnitFocus]) -> Context:
        """Return a context for units that were named rather than focused."""
        return replace(self.context(), pane="units", units=tuple(units), machine=None, key=None)

    def machine_context(self, machine: MachineFocus) -> Context:
        """Return a context for a machine that was named rather than focused."""
        return replace(self.context(), pane="machines", units=(), machine=machine, key=None)

    def show_unit(self, key: str) -> None:
        """Put the cursor on a unit's row."""
        self.console.focus_pane("units")
        self.units.table.cursor_key = key

    def show_machine(self, machine_id: str) -> None:
        """Put the cursor on a machine's row."""
        self.console.focus_pane("machines")
        self.machines.table.cursor_key = machine_id

    def show_key(self, path: str) -> None:
        """Put the cursor on a key."""
        self.console.focus_pane("keys")
        self.keys_pane.show_path(path)

    def _tick(self) -> None:
        for pane in self.panes.values():
            pane.tick()
            if self.store.status(pane.NAME).stale:
                pane.refresh_title()
        if self.detail.display:
            self.detail.refresh_content()
        self._refresh_header()

    def _refresh_header(self) -> None:
        summary = self.store.summary(
            application=self.access.application,
            cluster=self.access.name,
            round_trip=self.access.round_trip(),
        )
        self.header.show(summary, self.clock.time(), self.zone)

    def _refresh_footer(self) -> None:
        context = self.context()
        self.footer.show(guide.footer(valid_in(context.pane), context))

    def _command_logged(self) -> None:
        entries = self.store.commands.entries
        self.footer.notice(commands.notice(entries[-1]) if entries else ())
        self.set_timer(5.0, self._forget_notice)

    def _forget_notice(self) -> None:
        entries = self.store.commands.entries
        if not entries or self.clock.time() - entries[-1].began >= 4.0:
            self.footer.notice(())

    # What the feeds and the panes tell.

    def pane_changed(self, name: str, keys: frozenset[str] | None) -> None:
        """Show what is new in the store about a pane."""
        if name == "header":
            self._refresh_header()
            return
        if name == "journal":
            self._lines_came()
            return
        self.panes[name].refresh_from_store(keys)
        if self.detail.display:
            self.detail.refresh_content()
        self._refresh_footer()

    @on(PaneChanged)
    def _on_pane_changed(self, event: PaneChanged) -> None:
        event.stop()
        self.pane_changed(event.pane, event.keys)

    def _lines_came(self) -> None:
        fresh = self.store.journal.take_fresh()
        self.journal.append(fresh)
        if self.detail.display:
            self.detail.append(fresh)
        self.journal.refresh_from_store(None)

    @on(FocusChanged)
    def _on_focus_changed(self, event: FocusChanged) -> None:
        event.stop()
        focused = self._focused_pane()
        if focused is not None and focused is not self.pane:
            self.console.focus_pane(focused.NAME)
        for pane in self.panes.values():
            has = pane is self.pane
            if pane.has_class("-focused") != has:
                pane.set_class(has, "-focused")
                pane.refresh_title()
        self._refresh_footer()

    def _focused_pane(self) -> Pane | None:
        widget = self.focused
        while widget is not None:
            if isinstance(widget, Pane):
                return widget
            parent = widget.parent
            widget = parent if isinstance(parent, (Pane, Container)) else None
        return None

    # Actions.

    def action_press(self, key: str) -> None:
        """A key of the keymap was pressed."""
        action_id = self.keymap.find(key, self.wish.focused)
        if action_id is not None:
            self.choose(action_id)

    @on(ActionPressed)
    def _on_action_pressed(self, event: ActionPressed) -> None:
        event.stop()
        self.choose(event.action_id)

    def choose(self, action_id: str, context: Context | None = None) -> None:
        """Do an action of the table, say why not, or ask first."""
        action, context = BY_ID[action_id], context or self.context()
        reason = action.refuse(context)
        if reason is not None:
            self.notify(reason, severity="warning", markup=False, timeout=4)
        elif needs_confirmation(action, context):
            self._confirm(action, context)
        else:
            action.handler(self.console, context)

    def _confirm(self, action: Action, context: Context) -> None:
        names: Sequence[str] = names_of(context)
        what = f"{len(names)} units" if len(context.units) > 1 else names[0].split(" ")[0]
        verb = action.title.split(" (", 1)[0].removesuffix(" the key")

        def answered(yes: bool | None) -> None:  # noqa: FBT001 - the answer itself
            if yes:
                action.handler(self.console, context)

        question = f"{verb} {what}?"
        self.app.push_screen(ConfirmScreen(question, names, action.command(context)), answered)

    @on(TitleLine.Clicked)
    def _title_clicked(self, event: TitleLine.Clicked) -> None:
        event.stop()

    @on(HeaderLine.DoorClicked)
    def _door_clicked(self, event: HeaderLine.DoorClicked) -> None:
        event.stop()
        self.console.go_through(event.door)

    @on(CommandLine.Given)
    def _command_given(self, event: CommandLine.Given) -> None:
        event.stop()
        self.pane.focus_body()
        self.console.obey(event.text)

    @on(Input.Changed)
    def _input_changed(self, event: Input.Changed) -> None:
        event.stop()
