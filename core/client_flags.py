"""The flags by which a program is told whom to trust of a KV on https, and what to show it."""

from collections.abc import Callable
from functools import wraps

import click

from c101.core.kv_tls import KV_TLS, KvTls


def kv_tls_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the flags, as its argument ``kv_tls``."""

    @wraps(command)
    def with_flags(**given: object) -> None:
        files = {name: given.pop(name) or "" for name in KV_TLS}
        command(kv_tls=KvTls(**files), **given)  # type: ignore[arg-type] # click gives strings

    for name, (flag, variable, what) in reversed(KV_TLS.items()):
        option = click.option(flag, name, envvar=variable, metavar="FILE", help=what)
        with_flags = option(with_flags)
    return with_flags
