"""The terminal as a stream that can end: then there is nobody left, and the console ends too.

Textual 8.2's input thread reads on and on after the end of standard input, with a whole processor.
This driver stops there, and tells.
"""

import os
import selectors
from codecs import getincrementaldecoder

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from c101.tui.messages import TerminalGone

#: Bytes read at once.
READ_BYTES_MAX = 4_096

#: How soon the thread notices that it is to end, and a lone escape is taken for one, in seconds.
WAIT_SECONDS = 0.1


class TerminalDriver(LinuxDriver):
    """Textual's driver, but for the end of input."""

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
