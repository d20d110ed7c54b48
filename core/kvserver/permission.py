"""Handlers that only some may call: put around those of methods that speak of no keys."""

from collections.abc import Callable

from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Caller
from c101.core.rpc.server import UnaryCall, UnaryHandler


def admins(auth: Authority, handler: UnaryHandler) -> UnaryHandler:
    """Return *handler* for callers with the root role only, while auth is on."""
    return _checked(auth, auth.require_admin, handler)


def named(auth: Authority, handler: UnaryHandler) -> UnaryHandler:
    """Return *handler* for callers who say who they are, while auth is on."""
    return _checked(auth, auth.require_named, handler)


def _checked(
    auth: Authority, require: Callable[[Caller], None], handler: UnaryHandler
) -> UnaryHandler:
    def checked(call: UnaryCall, message: bytes) -> None:
        if auth.enabled:
            require(auth.caller_of(call))
        handler(call, message)

    return checked
