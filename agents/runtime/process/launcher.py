"""Starts a keeper that belongs to nobody: ``python -I -S launcher.py KEEPER ARGUMENTS``.

It sets what only a system call can, which survives exec: the keeper is a child subreaper, so that
it is the parent of every daemon its unit makes. That takes ctypes, which the keeper does without.
It forks and leaves the session: the keeper is a child of process 1, or of a subreaper above the
agent, and no signal to the agent's group reaches it.
"""

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> None:
    """Become *arguments* (a command line) in a child. The caller waits for this process."""
    if os.fork():
        return
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    os.chdir("/")
    os.execv(arguments[0], arguments)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
