"""Run a program on a real terminal of our own, see its screen, press its keys.

with TerminalProgram(["c101-console", "demo"]) as console:
    console.wait_for("UNITS")
    console.press("j", "enter")
    assert console.quit_with("ctrl+q") == 0
    assert console.restored
"""

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from fcntl import ioctl
from types import TracebackType
from typing import Self

import psutil

from tests.tui.vt import ALTERNATE_SCREEN, CURSOR_SHOWN, MOUSE_AND_PASTE, Screen

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "space": " ",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    **{f"ctrl+{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"},
}

#: How much is read at once.
_CHUNK = 65_536


class TerminalProgram:
    """A program that has a terminal of *columns* by *rows* to itself, as its controlling one.

    With ``stdin="nothing"`` its standard input is at its end from the start; output is still the
    terminal. Its environment is ours with ``TERM`` set and what would change colours left out.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 36,
        environment: Mapping[str, str] | None = None,
        stdin: str = "terminal",
    ) -> None:
        self.screen = Screen(columns, rows)
        self.written = 0
        self._argv = list(argv)
        self._stdin = stdin
        self._environment = {
            **{k: v for k, v in os.environ.items() if not _changes_looks(k)},
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._master = self._slave = -1

    def __enter__(self) -> Self:
        self._master, self._slave = pty.openpty()
        self.resize(self.screen.columns, self.screen.rows)
        self._settings = termios.tcgetattr(self._slave)
        argv = self._argv
        if self._stdin == "terminal":
            # As a terminal's own shell starts it: no signal ignored, whatever runs the tests.
            argv = ["setsid", "--ctty", "env", "--default-signal=HUP,INT,QUIT", *argv]

        self._process = subprocess.Popen(
            argv,
            stdin=self._slave if self._stdin == "terminal" else subprocess.DEVNULL,
            stdout=self._slave,
            stderr=self._slave,
            env=self._environment,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program if it has not ended, with all it started in its session."""
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    child.kill()
            self.process.kill()
            self.process.wait()
        self.hang_up()
        with contextlib.suppress(OSError):
            os.close(self._slave)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The program."""
        assert self._process is not None, "enter the block first"
        return self._process

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program gets SIGWINCH from the kernel."""
        self.screen.resize(columns, rows)
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, *keys: str) -> None:
        """Press keys by their names, or type single characters."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def type(self, text: str) -> None:
        """Type *text*."""
        self.press(*text)

    def read(self, seconds: float) -> bool:
        """Take in what the program writes next, waiting at most so long; say if it was anything."""
        if self._master < 0 or not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:  # EIO: nobody holds the other side any more
            return False
        self.written += len(data)
        self.screen.feed(data)
        return bool(data)

    def wait_for(self, wanted: str | Callable[[Screen], bool], seconds: float = 15.0) -> float:
        """Wait until the screen shows a text, or is as wanted; return how long it took."""
        began = time.monotonic()
        while not (wanted in self.screen.text if isinstance(wanted, str) else wanted(self.screen)):
            left = began + seconds - time.monotonic()
            if left <= 0 or (not self.read(min(left, 0.05)) and self._ended()):
                raise AssertionError(f"never saw {wanted!r}; the screen is\n{self.screen.text}")
        return time.monotonic() - began

    def _ended(self) -> bool:
        if self.process.poll() is None:
            return False
        while self.read(0.05):
            pass
        return True

    def settle(self, seconds: float = 0.3) -> None:
        """Read until nothing has been written for so long."""
        while self.read(seconds):
            pass

    def wait(self, seconds: float = 10.0) -> int:
        """Wait for the program's end, reading on; return its exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"has not ended; the screen is\n{self.screen.text}")
            self.read(0.02)
        self._ended()
        assert self.process.returncode is not None
        return self.process.returncode

    def quit_with(self, *keys: str, seconds: float = 10.0) -> int:
        """Press keys that end the program; return its exit status."""
        self.press(*keys)
        return self.wait(seconds)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does: SIGHUP, then reads that fail."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def interrupt(self) -> None:
        """Send SIGINT to the program, as ``kill`` would."""
        self.process.send_signal(signal.SIGINT)

    def cpu_seconds(self) -> float:
        """Return the CPU that the program has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its settings, its screen, cursor, mouse, paste."""
        modes = self.screen.modes
        return (
            termios.tcgetattr(self._slave) == self._settings
            and ALTERNATE_SCREEN not in modes
            and CURSOR_SHOWN in modes
            and not modes & MOUSE_AND_PASTE
        )


def _changes_looks(name: str) -> bool:
    return name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"} or name.startswith("TEXTUAL_")
