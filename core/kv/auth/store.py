"""The auth store: who may do what, and how that changes.

A change is decided on what is known, staged with whatever else is being written, and known, and
answered, once it is durable. One is under way at a time, so each is decided on the ones before it.

A write is ordered against changes as in etcd: its caller carries the auth revision at which the
request came, and is refused as old if a change has been staged since, durable or not.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.answers import Answer
from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import NOBODY, TRUSTED, Call, Caller, common_name_of, token_of
from c101.core.kv.auth.passwords import Passwords
from c101.core.kv.auth.rights import Rights, rights_of
from c101.core.kv.auth.state import AuthState, Change
from c101.core.kv.auth.tokens import Tokens
from c101.core.kv.refusal import refuse
from c101.core.kv.store import Store
from c101.core.rpc.peer import ADMIN_ROLE
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

#: Changes that wait for the one under way; one more is refused.
CHANGES_WAITING_MAX: Final = 1_000
#: Users whose permissions are kept merged; with one more all are merged anew when next needed.
RIGHTS_KEPT_MAX: Final = 10_000

#: Says what a request changes of a state, or raises RpcError.
Decide = Callable[[AuthState], Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A change that somebody asked for, and who is told when it is durable."""

    caller: Caller
    name: str
    decide: Decide
    answer: Answer


class AuthStore(Authority):
    """The auth store of *store*, on the loop that is running.

    ``enabled`` is all that a request looks at while auth is off.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self.state = AuthState.load(store.storage)
        self.enabled = self.state.enabled
        self.passwords = Passwords()
        self._tokens = Tokens(clock)
        self._staged_revision = self.state.revision
        self._rights: dict[str, Rights] = {}
        self._asked: deque[Asked] = deque()
        self._changing = False

    @property
    def revision(self) -> int:
        """The revision of what is durable."""
        return self.state.revision

    # ---- who asks ----

    def caller_of(self, call: Call) -> Caller:
        """Return who sent *call*: by token, certificate or socket, in this order.

        Raises RpcError for a token that is nobody's, if auth is on. While it is off nobody needs a
        name, and tokens are not looked at.
        """
        by_socket = TRUSTED if call.peer.role == ADMIN_ROLE else NOBODY
        if not self.enabled:
            return by_socket
        token = token_of(call.metadata)
        if token is not None:
            user = self._tokens.user_of(token)
            if user is None:
                raise refuse(refusal.INVALID_AUTH_TOKEN)
            return Caller(user=user, revision=self.revision)
        name = common_name_of(call)
        if name:
            return Caller(user=name, revision=self.revision)
        return by_socket

    async def authenticate(self, call: Call, name: str, password: str) -> str:
        """Return a token for user *name*.

        Raises RpcError if auth is off, the password is wrong, or too many are being checked.
        """
        while True:
            if not self.enabled:
                raise refuse(refusal.AUTH_NOT_ENABLED)
            user = self.state.users.get(name)
            if user is not None and user.options.no_password:
                raise refuse(refusal.NO_PASSWORD_USER)
            revision = self.revision
            hashed = None if user is None else user.password
            if not await self.passwords.matches(password, hashed):
                logger.warning("authentication failed", extra={"peer": call.peer.address})
                raise refuse(refusal.AUTH_FAILED)
            # The password may have been changed while it was checked.
            if revision == self.revision:
                # etcd wants no token here, but refuses one that is nobody's.
                self.caller_of(call)
                return self._tokens.assign(name)

    # ---- what a caller may ----

    def denied(self, caller: Caller, what: str) -> None:
        """Say nothing: as with etcd, who is refused is told, and nobody else."""

    def require_fresh(self, caller: Caller) -> None:
        """Raise RpcError for a write of a *caller* who came before a change that is staged.

        To be called when the write is staged.
        """
        if caller.revision and caller.revision < self._staged_revision:
            raise refuse(refusal.AUTH_OLD_REVISION)

    def require_unchanged(self, caller: Caller) -> None:
        """Raise RpcError for a read of a *caller* that a change became known under."""
        if caller.revision and caller.revision != self.revision:
            raise refuse(refusal.AUTH_OLD_REVISION)

    def rights(self, caller: Caller) -> Rights | None:
        """Return what the user of *caller* may; ``None`` if there is none of that name."""
        rights = self._rights.get(caller.user)
        if rights is None:
            user = self.state.users.get(caller.user)
            if user is None:
                return None
            if len(self._rights) >= RIGHTS_KEPT_MAX:
                self._rights.clear()
            rights = self._rights[caller.user] = rights_of(user, self.state.roles)
        return rights

    # ---- changes ----

    def change(self, caller: Caller, name: str, decide: Decide, answer: Answer) -> None:
        """Have what *decide* says changed, in its turn, on behalf of *caller*, an admin.

        *answer* is told when that is durable, or why not. *name* is for the log. Raises RpcError
        when too many wait.
        """
        if len(self._asked) >= CHANGES_WAITING_MAX:
            raise refuse(refusal.TOO_MANY_REQUESTS)
        self._asked.append(Asked(caller=caller, name=name, decide=decide, answer=answer))
        if not self._changing:
            self._next()

    def _next(self) -> None:
        gate = self._store.gate
        while self._asked and not self._changing:
            asked = self._asked.popleft()
            self._changing = True
            try:
                # In the order of writes: one that came before is staged before.
                if gate.closed:
                    gate.wait(partial(self._stage_later, asked))
                else:
                    self._stage(asked)
            except RpcError as exc:
                self._changing = False
                asked.answer.fail(exc.status, exc.message)

    def _stage_later(self, asked: Asked) -> None:
        try:
            self._stage(asked)
        except RpcError as exc:
            asked.answer.fail(exc.status, exc.message)
            self._changed()

    def _stage(self, asked: Asked) -> None:
        """Decide, and stage. Raises RpcError, with nothing staged, for what is refused."""
        store = self._store
        self.require_admin(asked.caller)
        store.admit()
        change = asked.decide(self.state)
        if not change.empty:
            for entry in self.state.entries(change):
                store.stage_bucket(*entry)
            self._staged_revision = self.state.revision_after(change)
        store.answer(_Staged(self, change, asked), b"")

    def settle(self, change: Change, asked: Asked) -> None:
        """Make *change*, which is durable, what is known, and answer who asked for it."""
        self.state.apply(change)
        self.enabled = self.state.enabled
        self._rights.clear()
        for user in change.logged_out:
            self._tokens.log_out(user)
        if not self.enabled:
            self._tokens.clear()
        if not change.empty:
            extra = {"change": asked.name, "revision": self.revision}
            logger.info("auth store changed", extra=extra)
        asked.answer.reply(b"")
        self._changed()

    def give_up(self, asked: Asked, status: Code, message: str) -> None:
        """Forget a change whose commit failed."""
        self._staged_revision = self.revision
        asked.answer.fail(status, message)
        self._changed()

    def _changed(self) -> None:
        self._changing = False
        self._next()

    def close(self) -> None:
        """End the threads that check passwords."""
        self.passwords.close()


class _Staged:
    """A change on its way to the disk."""

    __slots__ = ("_asked", "_auth", "_change")

    def __init__(self, auth: AuthStore, change: Change, asked: Asked) -> None:
        self._auth = auth
        self._change = change
        self._asked = asked

    def reply(self, _message: bytes, /) -> None:
        """It is durable."""
        self._auth.settle(self._change, self._asked)

    def fail(self, status: Code, message: str, /) -> None:
        """It is not."""
        self._auth.give_up(self._asked, status, message)
