"""The root of every error, and the categories a caller may act on.

A class exists for each cause that somebody handles; it carries data as attributes and, where a
person can act, a ``hint``.
``exit_status`` is what a command that ends by this error exits with; ``code`` is its stable word
in ``-o json``.
"""


class C101Error(Exception):
    """Something failed for a known reason.

    ``str()`` says what happened; ``hint``, when set, says what to do next.
    """

    exit_status = 1
    code = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(C101Error):
    """A flag, a configuration file or the environment is wrong."""

    exit_status = 2
    code = "usage"


class InvalidNameError(C101Error):
    """A name is outside the rules of its kind (unit, machine, key)."""

    exit_status = 2
    code = "invalid_name"


class NotFoundError(C101Error):
    """The key, unit or machine asked for does not exist."""

    exit_status = 3
    code = "not_found"


class ConflictError(C101Error):
    """Somebody else changed it first, or it exists already."""

    code = "conflict"


class NotPlacedError(C101Error):
    """A unit could not be placed, or did not become what was asked in time."""

    exit_status = 4
    code = "not_placed"


class DeadlineExceededError(C101Error):
    """An answer did not come in time; what was asked may have happened all the same."""

    exit_status = 4
    code = "deadline_exceeded"


class LinkError(C101Error):
    """The other side cannot be reached."""

    exit_status = 5
    code = "unreachable"


class HostKeyError(LinkError):
    """A host key is unknown, or another than the one pinned."""

    code = "host_key"


class AuthError(LinkError):
    """The other side refused who we are."""

    code = "auth"


class LinkLostError(LinkError):
    """An established link ended before the answer came."""


class ProtocolError(C101Error):
    """The other side broke the rules of the wire."""

    code = "protocol"
