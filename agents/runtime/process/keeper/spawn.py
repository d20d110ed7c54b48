"""Starts the unit's commands, and learns whether exec succeeded."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found,unused-ignore]  # signal itself loads enum
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from c101.agents.runtime.process.keeper.loop import Loop
    from c101.agents.runtime.process.keeper.output import Output
    from c101.agents.runtime.process.keeper.spec import Command, Spec

_REPORT_BYTES = 4096
#: Exit status of a child that failed in a way nobody thought of.
_FAILED = 203


class Report:
    """What a child said before exec: empty when it became its command.

    ``status`` is what it exits with where it could not, ``step`` and ``reason`` say why.
    """

    __slots__ = ("path", "pid", "reason", "status", "step")

    def __init__(self, pid: int, line: str) -> None:
        fields = [*line.split("\t", 3), "", "", "", ""][:4]
        self.pid = pid
        self.status = int(fields[0]) if fields[0].isdigit() else -1
        self.step, self.path, self.reason = fields[1:]

    @property
    def executed(self) -> bool:
        """Whether the command runs."""
        return self.status < 0


class Spawner:
    """Forks the children of the keeper."""

    def __init__(self, loop: Loop, output: Output, on_report: Callable[[Report], None]) -> None:
        self._loop = loop
        self._output = output
        self._on_report = on_report
        self._awaited: dict[int, int] = {}  # pid: descriptor of its report

    def spawn(self, spec: Spec, command: Command, given: dict[str, str]) -> int:
        """Start *command* and return its pid; its report comes later. Raises OSError."""
        identifier = spec.syslog_identifier or command[0].rpartition("/")[2]
        stream, write_end = self._output.open_stream(
            identifier, spec.syslog_level, prefixes=spec.syslog_level_prefix
        )
        report_read, report_write = posix.pipe2(posix.O_CLOEXEC)
        # A signal to the child must not be lost in a handler of the keeper's: see child.py.
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM, _signal.SIGCHLD))
        try:
            pid = posix.fork()
            if not pid:
                _become(spec, command, given, (write_end, report_write))
        except OSError:
            for fd in (write_end, report_read, report_write):
                posix.close(fd)
            stream.end()
            raise
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        posix.close(write_end)
        posix.close(report_write)
        stream.of_process(pid)
        self._awaited[pid] = report_read
        self._loop.watch(report_read, lambda: self.settle(pid))
        return pid

    def settle(self, pid: int) -> None:
        """Take the report of *pid*, unless that was done: it stands before its exit."""
        fd = self._awaited.pop(pid, -1)
        if fd < 0:
            return
        self._loop.unwatch(fd)
        line = posix.read(fd, _REPORT_BYTES).decode(errors="replace")
        posix.close(fd)
        self._on_report(Report(pid, line))


def _become(spec: Spec, command: Command, given: dict[str, str], fds: tuple[int, int]) -> NoReturn:
    """Be the child: never come back."""
    stream, report = fds
    try:
        from c101.agents.runtime.process.keeper.child import Child  # noqa: PLC0415 - see there

        Child(spec, command, given, stream).run(report)
    except Exception as exc:  # noqa: BLE001 - a second keeper must not run on, whatever went wrong
        posix.write(report, f"{_FAILED}\tEXEC\t{command[0]}\t{exc!r}".encode(errors="replace"))
    finally:
        posix._exit(_FAILED)  # noqa: SLF001 - nor run the keeper's clean-up
