"""Who decides what a caller may: the auth store for most, a table of roles behind some sockets.

What is asked of it is the same, and so are the checks (see ``checks``).
"""

from abc import ABC, abstractmethod

from c101.core.kv import refusal
from c101.core.kv.auth.caller import Call, Caller
from c101.core.kv.auth.rights import Rights
from c101.core.kv.refusal import refuse


class Authority(ABC):
    """Knows callers and their rights. While it is not ``enabled``, nobody is asked anything."""

    enabled: bool

    @abstractmethod
    def caller_of(self, call: Call) -> Caller:
        """Return who sent *call*. Raises RpcError for a token that is nobody's."""

    @abstractmethod
    def rights(self, caller: Caller) -> Rights | None:
        """Return what *caller* may; ``None`` if there is none of that name."""

    @abstractmethod
    def require_fresh(self, caller: Caller) -> None:
        """Raise RpcError for a write of a *caller* who came before a change that is staged.

        To be called when the write is staged.
        """

    @abstractmethod
    def require_unchanged(self, caller: Caller) -> None:
        """Raise RpcError for a read of a *caller* that a change became known under."""

    @abstractmethod
    def denied(self, caller: Caller, what: str) -> None:
        """Hear that *what* was refused to *caller*."""

    def require_named(self, caller: Caller) -> None:
        """Raise RpcError unless *caller* is somebody."""
        if not (caller.revision or caller.trusted):
            raise refuse(refusal.USER_EMPTY)

    def is_admin(self, caller: Caller) -> bool:
        """Say whether *caller* has the root role."""
        if caller.trusted:
            return True
        rights = self.rights(caller)
        return rights is not None and rights.root

    def require_admin(self, caller: Caller) -> None:
        """Raise RpcError unless *caller* has the root role, or auth is off."""
        if self.enabled and not self.is_admin(caller):
            self.denied(caller, "what only an admin may")
            raise refuse(refusal.PERMISSION_DENIED if caller.user else refusal.USER_EMPTY)
