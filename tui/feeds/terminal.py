"""The terminal as a stream that can end: then there is nobody left, and the console ends too.

Textual 8.2's input thread reads on and on after the end of standard input, with a whole processor;
its output thread dies at the first write that fails, and the event loop then waits for it for ever.
This driver stops reading there, and tells; what is written after that goes nowhere.
"""

import io
import os
import selectors
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import TextIO, cast

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from c101.tui.messages import TerminalGone

#: Bytes read at once.
READ_BYTES_MAX = 4_096

#: How soon the thread notices that it is to end, and a lone escape is taken for one, in seconds.
WAIT_SECONDS = 0.1


class TerminalOutput(io.TextIOBase):
    """Writes to a terminal for as long as there is one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> int:
        """Write, or lose, *text*."""
        return len(text) if self._tried(lambda: self._file.write(text)) else 0

    def flush(self) -> None:
        """Flush, if there is anything to flush to."""
        self._tried(self._file.flush)

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self._file.isatty()

    def _tried(self, output: Callable[[], object]) -> bool:
        if not self._gone:
            try:
                output()
            except OSError:
                self._gone = True
        return not self._gone


class TerminalDriver(LinuxDriver):
    """Textual's driver, but for the end of the terminal."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        if self._file is not None:
            # All that the output thread asks of a file is in there.
            self._file = cast("io.TextIOWrapper", TerminalOutput(self._file))

    def run_input_thread(self) -> None:
        """Read keys until told to stop, or until there are no more."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(WAIT_SECONDS):
                    read = _read(self.fileno)
                    if not read:
                        self._tell_gone()
                        return
                    for event in parser.feed(decode(read)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _tell_gone(self) -> None:
        # Without waiting for an answer: the loop may already be waiting for this thread's end.
        self.send_message(TerminalGone())


def _read(fileno: int) -> bytes:
    """Return what there is; nothing at the end, and nothing of a terminal that is gone."""
    try:
        return os.read(fileno, READ_BYTES_MAX)
    except OSError:
        return b""
