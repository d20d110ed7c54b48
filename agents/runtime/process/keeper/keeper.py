"""Puts a keeper together and runs it. Started by ``__main__.py`` with the descriptors it inherits.

Not asyncio, and no clock that is handed in: see the package's docstring for why.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found,unused-ignore]  # signal itself loads enum
import _socket
import posix

from c101.agents.runtime.process.journal.writer import JournalWriter
from c101.agents.runtime.process.keeper import events, killing, lifeline, processes, status
from c101.agents.runtime.process.keeper.link import VERSION, Agent, Links, OrderError
from c101.agents.runtime.process.keeper.loop import Loop
from c101.agents.runtime.process.keeper.output import ERROR, Output
from c101.agents.runtime.process.keeper.service import Service
from c101.agents.runtime.process.keeper.spec import (
    SPEC_FILE,
    UNIT_FILES,
    Spec,
)

#: A unit at rest needs no keeper: it ends after this time without an order.
IDLE_SECONDS = 5.0
#: A state that could not be written, since the disk is full, is written this much later.
SAVE_AGAIN_SECONDS = 1.0
_SPEC_BYTES_MAX = 4 * 1024 * 1024


class Keeper:
    """One unit's keeper."""

    def __init__(self, directory: int, listener: int, journal: str) -> None:
        """*directory* and *listener* are descriptors: of the unit's directory, and listening."""
        self.loop = Loop()
        self._directory = directory
        self._status = status.load(directory)
        self._status.keeper_pid = posix.getpid()
        self._status.boot = status.boot_id()
        spec = self._load_spec()
        self._writer = JournalWriter(journal, spec.unit)
        self._output = Output(self.loop, self._writer, self._written)
        self.service = Service(self.loop, self._output, self._status, self._load_spec)
        self._links = Links(self.loop, _socket.socket(fileno=listener), self._take)
        self._links.greeting = self._greeting
        self._ending = False
        self.loop.on_signal(_signal.SIGCHLD, self._children_ended)
        self.loop.on_signal(_signal.SIGTERM, self._terminated)

    def run(self) -> None:
        """Serve until there is nothing left to do."""
        self._settle()
        while self.loop.running:
            self.loop.turn()
            self._settle()
        self._links.close()
        self._output.close()

    def recover(self, *, restart: bool) -> None:
        """Begin where a keeper that was lost left off: its unit's processes are gone.

        With *restart* the unit starts again if its Restart= says so.
        """
        service = self.service
        if self._status.at_rest:
            return
        service.say(ERROR, "The keeper of this unit was lost; its processes have been killed.")
        self._status.result = "success"
        self._status.exit_code = 0
        service.forbid_restart = not restart
        service.enter_dead("keeper-lost")
        if not restart:
            # What the lost run answered has to be answered again.
            self._status.restart = ""
            service.set_state("dead")

    def cut_off(self) -> None:
        """The lifeline has ended: leave nothing running."""
        killing.kill_everything()
        self.loop.running = False

    def _load_spec(self) -> Spec:
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        fd = posix.open(SPEC_FILE, flags, dir_fd=self._directory)
        try:
            return Spec.parse(posix.read(fd, _SPEC_BYTES_MAX))
        finally:
            posix.close(fd)

    def _written(self) -> None:
        self._links.journal_written(self._writer.last_seq)

    def _greeting(self) -> list[str]:
        return [f"hello {VERSION} {posix.getpid()}", f"state {self._status.encode()}"]

    # Orders.

    def _take(self, agent: Agent, verb: str, argument: str) -> None:
        self.loop.cancel("idle")
        if verb == "journal":
            agent.journal_after = int(argument) if argument.isdigit() else 0
            self._written()
        elif verb == "note":
            priority, _, text = argument.partition(" ")
            self._output.say(int(priority) & 7 if priority.isdigit() else ERROR, text)
        elif verb in {"unload", "keep"}:
            self._status.unloading = verb == "unload"
            self.service.changed = True
            if verb == "unload":
                self.service.stop()
        else:
            self._take_for_service(verb, argument)
        # Before the answer: who gave the order knows its effect when it is told that it is taken.
        self._tell()

    def _take_for_service(self, verb: str, argument: str) -> None:
        service = self.service
        if verb == "start":
            service.start(argument)
        elif verb == "restart":
            service.restart(argument)
        elif verb == "stop":
            service.stop()
        elif verb == "reset":
            service.reset()
        elif verb != "reload":
            raise OrderError(f"unknown order {verb[:32]!r}")
        elif not service.reload():
            raise OrderError(f"{service.spec.unit} is not active or has no ExecReload=")

    # What happens.

    def _children_ended(self) -> None:
        for pid, wait_status in processes.reap():
            events.on_exit(self.service, pid, wait_status)
        if not processes.has_children():
            events.on_group_empty(self.service)

    def _terminated(self) -> None:
        self._ending = True
        self.service.stop()

    def _settle(self) -> None:
        """Write down and tell what has changed; end when there is no more to do."""
        self._tell()
        if not self._status.at_rest or processes.has_children():
            self.loop.cancel("idle")
            if not (self._status.at_rest and self._status.unloading):
                return
        if self._status.unloading:
            self._forget()
        elif self._ending:
            self.loop.running = False
        elif not self.loop.has_timer("idle"):
            self.loop.after(IDLE_SECONDS, "idle", self._idle)

    def _tell(self) -> None:
        if self.service.changed:
            self.service.changed = False
            self._save()
            self._links.broadcast(f"state {self._status.encode()}")

    def _idle(self) -> None:
        self.loop.running = self._writer.dropped > 0

    def _save(self) -> None:
        try:
            status.save(self._directory, self._status)
        except OSError:
            self.loop.after(SAVE_AGAIN_SECONDS, "save", self._save)

    def _forget(self) -> None:
        for name in UNIT_FILES:
            try:
                posix.unlink(name, dir_fd=self._directory)
            except OSError:
                continue
        self.loop.running = False
        self._links.broadcast("gone")
        try:
            posix.rmdir(posix.readlink(f"/proc/self/fd/{self._directory}"))
        except OSError:
            return  # Somebody put something there; a unit without a spec is none.


def main(arguments: list[str]) -> int:
    """Run a keeper: ``DIRECTORY_FD LISTENER_FD LOCK_FD JOURNAL LIFELINE restart|rest``.

    The lock is only held, so that everybody can see that a keeper lives.
    """
    directory, listener, lock = (int(argument) for argument in arguments[:3])
    for fd in (directory, listener, lock):
        posix.set_inheritable(fd, False)  # noqa: FBT003 - it takes no keyword
    journal, lifeline_path, lost = arguments[3:6]
    posix.umask(0o077)
    keeper = Keeper(directory, listener, journal)
    if lifeline_path:
        try:
            lifeline.hold(lifeline_path, keeper.loop, keeper.cut_off)
        except OSError:
            return 1
    keeper.recover(restart=lost == "restart")
    keeper.run()
    return 0
