"""Does what was chosen: writes to the cluster, keeps the command log, says what went wrong."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from textual.screen import Screen

from c101.core.clock import Clock
from c101.core.errors import C101Error, ConflictError
from c101.core.model.unit import TargetState
from c101.tui.actions.action import Context, KeyFocus, MachineFocus
from c101.tui.actions.table import BY_ID
from c101.tui.feeds.access import ClusterAccess
from c101.tui.render.sanitise import sanitise
from c101.tui.screens.edit_key import EditKeyScreen, KeyDraft
from c101.tui.store.command_log import Outcome
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.keys import kind_of

Deed = Callable[[], Awaitable[None]]


class Operator:
    """The verbs of the main screen. Every deed is a worker of *screen*, so that it ends with it."""

    def __init__(
        self,
        screen: Screen[None],
        access: ClusterAccess,
        store: ConsoleStore,
        clock: Clock,
        *,
        logged: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._access = access
        self._store = store
        self._clock = clock
        self._logged = logged

    # Units.

    def start(self, context: Context) -> None:
        """Want the units launched."""
        self._each("units.start", context, self._target(TargetState.LAUNCHED))

    def stop(self, context: Context) -> None:
        """Want the units loaded: placed, and not running."""
        self._each("units.stop", context, self._target(TargetState.LOADED))

    def unload(self, context: Context) -> None:
        """Want the units on no machine."""
        self._each("units.unload", context, self._target(TargetState.INACTIVE))

    def restart(self, context: Context) -> None:
        """Have the units restarted once."""
        self._each("units.restart", context, self._access.verbs.restart)

    def destroy(self, context: Context) -> None:
        """Stop the units and forget their files."""
        self._each("units.destroy", context, self._access.verbs.destroy)

    def _target(self, target: TargetState) -> Callable[[str], Awaitable[None]]:
        async def deed(name: str) -> None:
            await self._access.verbs.set_target(name, target)

        return deed

    def _each(
        self, action_id: str, context: Context, deed: Callable[[str], Awaitable[None]]
    ) -> None:
        async def all_of_them() -> None:
            for unit in context.units:
                await deed(unit.name)

        self._run(BY_ID[action_id].command(context), all_of_them)

    # Machines.

    def power(self, machine: MachineFocus) -> None:
        """Cut a machine's power, or switch it on."""
        verb = "start" if machine.lost else "kill"

        async def deed() -> None:
            await self._access.verbs.power(machine.id, on=machine.lost)

        self._run(f"c101ctl local {verb} {shlex.quote(machine.name)}", deed)

    # Keys.

    def edit(self, focus: KeyFocus, raw: bytes) -> None:
        """Read a key as it is now, let it be edited, and write it if nobody else did."""

        async def deed() -> None:
            kv = await self._access.verbs.get_key(raw)
            if kv is None:
                self._tell(f"{focus.path} is gone")
                return
            if kind_of(kv.value) == "binary":
                self._tell(f"{focus.path} holds bytes that are no text: c101ctl set can write it")
                return
            text = kv.value.decode()
            self._open(KeyDraft(path=focus.path, text=text, revision=kv.mod_revision), raw)

        self._screen.run_worker(self._guarded(deed), group="edit", exclusive=True)

    def create(self, directory: str) -> None:
        """Let a new key be written."""
        self._open(KeyDraft(path=directory, text="", revision=0, is_new=True), None)

    def delete(self, focus: KeyFocus, raw: bytes, revision: int) -> None:
        """Delete a key as it was seen."""

        async def deed() -> None:
            await self._access.verbs.delete_key(raw, expected_revision=revision)

        self._run(f"c101ctl rm {shlex.quote(focus.path)}", deed)

    def put(self, path: str, text: str) -> None:
        """Write a key whatever it holds, as ``:set`` does."""

        async def deed() -> None:
            raw = path.encode()
            kv = await self._access.verbs.get_key(raw)
            revision = kv.mod_revision if kv is not None else 0
            await self._access.verbs.put_key(raw, text.encode(), expected_revision=revision)

        self._run(f"c101ctl set {shlex.quote(path)} {shlex.quote(text)}", deed)

    def _open(self, draft: KeyDraft, raw: bytes | None) -> None:
        def taken(result: KeyDraft | None) -> None:
            if result is not None:
                self._write(result, raw)

        self._screen.app.push_screen(EditKeyScreen(draft), taken)

    def _write(self, draft: KeyDraft, raw: bytes | None) -> None:
        key = raw if raw is not None else draft.path.encode()

        async def deed() -> None:
            try:
                await self._access.verbs.put_key(
                    key, draft.text.encode(), expected_revision=draft.revision
                )
            except ConflictError as exc:
                await self._reopen(draft, key, exc)
                raise

        shown = shlex.quote(draft.text if len(draft.text) <= 60 else draft.text[:59] + "…")
        self._run(f"c101ctl set {shlex.quote(draft.path)} {sanitise(shown)}", deed)

    async def _reopen(self, draft: KeyDraft, key: bytes, exc: ConflictError) -> None:
        """Show the conflict, with what was typed still there; saving again overwrites knowingly."""
        kv = await self._access.verbs.get_key(key)
        if kv is None:
            problem, revision = "it was deleted meanwhile: saving makes it again", 0
        else:
            theirs = sanitise(kv.value, width_max=40)
            problem = f"changed meanwhile to {theirs!r} (rev {kv.mod_revision}): saving overwrites"
            revision = kv.mod_revision
        again = replace(draft, revision=revision, problem=problem or str(exc), is_new=False)
        self._open(again, key)

    # All of them.

    def _run(self, command: str, deed: Deed) -> None:
        log = self._store.commands
        number = log.begin(command, self._clock.time())
        self._logged()

        async def logged() -> None:
            outcome, result = Outcome.DONE, ""
            try:
                await deed()
            except C101Error as exc:
                outcome, result = Outcome.FAILED, _words(exc)
                self._tell(f"{command}: {result}")
            log.end(number, outcome, result, self._clock.time())
            self._logged()

        self._screen.run_worker(logged(), group="verbs")

    async def _guarded(self, deed: Deed) -> None:
        try:
            await deed()
        except C101Error as exc:
            self._tell(_words(exc))

    def _tell(self, words: str) -> None:
        self._screen.notify(words, severity="error", markup=False, timeout=8)


def _words(exc: C101Error) -> str:
    return sanitise(f"{exc} ({exc.hint})" if exc.hint else str(exc))


def names_of(context: Context) -> Sequence[str]:
    """Return what a verb would hit, one name each."""
    if context.units:
        return [f"{unit.name}  {unit.machine}".rstrip() for unit in context.units]
    if context.key is not None:
        return [context.key.path]
    return [context.machine.name] if context.machine is not None else []
