"""What is asked of etcdctl in the script that ours and a real etcd answer alike.

A row is what etcdctl is called with, and what it reads from standard input. ``{lease}`` is the
lease granted last, ``{member}`` the member's id, ``{data}`` a directory; the words in a row are
else the same for both.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One call of etcdctl."""

    arguments: tuple[str, ...]
    text: str | None = None

    def __str__(self) -> str:
        shown = " ".join(argument or "''" for argument in self.arguments)
        return shown if self.text is None else f"{shown} <<< {self.text!r}"


def row(*arguments: str, text: str | None = None) -> Row:
    return Row(arguments, text)


def in_every_format(*arguments: str) -> list[Row]:
    """Return the call once for each way to write its answer."""
    formats = ("simple", "json", "fields", "table", "unheard-of")
    return [row(*arguments, "-w", one) for one in formats]


KEYS = [
    row("put", "k/a", "1"),
    row("put", "k/a", "2", "--prev-kv"),
    row("put", "k/b", "--prev-kv", "--", "-1"),
    row("put", "k/empty", ""),
    row("put", "k/read", text="two\nlines\n"),
    row("put", "k/a", "--ignore-value"),
    row("put", "k/a", "3", "--ignore-value"),
    row("put", "k/a", "3", "--ignore-lease"),
    row("put", "k/none", "--ignore-value"),
    row("put", "k/none", "1", "--ignore-lease"),
    row("put", "k/a", "1", "--lease=4d2"),
    row("put", "k/a", "1", "--lease=xyz"),
    row("put", "", "1"),
    row("put"),
    row("put", "k/a", "1", "2", "3"),
    row("put", "k/ünï", "wörld"),
    *in_every_format("put", "k/formats", "1", "--prev-kv"),
    *in_every_format("get", "k/a"),
    row("get", "k/a", "--hex"),
    row("get", "k/ünï", "--hex"),
    row("get", "k/a", "--consistency=s"),
    row("get", "k/a", "--consistency=x"),
    row("get", "k/none"),
    row("get", "k/none", "-w", "json"),
    row("get", ""),
    row("get", "", "--prefix", "--keys-only"),
    row("get", "", "--from-key", "--keys-only"),
    row("get", "k/", "--prefix"),
    row("get", "k/", "--prefix", "--from-key"),
    row("get", "k/", "--prefix", "--print-value-only"),
    row("get", "k/", "--prefix", "--limit=2"),
    row("get", "k/", "--prefix", "--limit=2", "-w", "json"),
    row("get", "k/a", "k/c"),
    row("get", "k/c", "k/a"),
    row("get", "k/b", "--from-key", "--keys-only"),
    *(
        row("get", "k/", "--prefix", f"--sort-by={target}", f"--order={order}")
        for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION", "SIZE")
        for order in ("ASCEND", "DESCEND")
    ),
    row("get", "k/", "--prefix", "--order=SIDEWAYS"),
    row("get", "k/a", "--rev=2"),
    row("get", "k/a", "--rev=100000"),
    row("get"),
    row("get", "k/a", "--nonsense"),
    row("del", "k/none"),
    *in_every_format("del", "k/formats", "--prev-kv"),
    row("del", "k/a", "k/b", "--prev-kv"),
    row("del", "k/", "--prefix", "--from-key"),
    row("del", "k/", "--prefix", "--prev-kv"),
    row("del", ""),
    row("del"),
    row("put", "k/z", "1"),
    row("del", "k/", "--from-key", "--prev-kv"),
]

TXNS = [
    row("txn", text='version("t/a") = "0"\n\nput t/a 1\nget t/a\n\nput t/b 1\n\n'),
    row("txn", text='version("t/a") = "0"\n\nput t/a 1\nget t/a\n\nput t/b 1\n\n'),
    *(
        Row(("txn", "-w", one), 'value("t/a") = "1"\n\nget t/a\nput t/c 2\ndel t/b\n\n\n')
        for one in ("simple", "json", "fields", "table")
    ),
    row("txn", text='mod("t/a") > "0"\ncreate("t/a") < "1000"\n\nget t/ --prefix\n\n\n'),
    row("txn", text='lease("t/a") = "0"\n\ndel t/ --prefix --prev-kv\n\n\n'),
    row("txn", text='value("t/a") != "1"\n\n\nput t/none 1\n\n'),
    row("txn", text="\n\n\n"),
    row("txn", text="\nput t/a 1\nput t/a 2\n\n\n"),
    row("txn", text='size("t/a") = "1"\n\n\n\n'),
    row("txn", text='version("t/a") ~ "1"\n\n\n\n'),
    row("txn", text='version("t/a") = "x"\n\n\n\n'),
    row("txn", text="\nfetch t/a\n\n\n"),
    row("txn", text="".join(["\n", *(f"put t/{n} x\n" for n in range(129)), "\n\n"])),
    row("txn", "and more"),
]

LEASES = [
    row("lease", "grant", "60"),
    row("put", "l/a", "1", "--lease={lease}"),
    row("put", "l/b", "1", "--lease={lease}"),
    row("put", "l/a", "2", "--ignore-lease"),
    row("get", "l/a", "-w", "fields"),
    *in_every_format("lease", "timetolive", "{lease}"),
    # etcd keeps a lease's keys in a Go map, whose order is another each time.
    row("put", "l/b", "2"),
    *in_every_format("lease", "timetolive", "{lease}", "--keys"),
    *in_every_format("lease", "list"),
    *in_every_format("lease", "keep-alive", "{lease}", "--once"),
    row("lease", "revoke", "{lease}"),
    row("get", "l/", "--prefix"),
    row("lease", "revoke", "{lease}"),
    row("lease", "timetolive", "{lease}"),
    row("lease", "timetolive", "{lease}", "-w", "json"),
    row("lease", "keep-alive", "{lease}"),
    row("lease", "keep-alive", "{lease}", "--once"),
    row("lease", "list"),
    row("lease", "grant", "0"),
    row("lease", "grant", "-5"),
    row("lease", "grant", "9000000001"),
    row("lease", "grant", "soon"),
    row("lease", "grant"),
    row("lease", "revoke", "xyz"),
    row("lease", "revoke"),
    row("lease", "timetolive"),
    *in_every_format("lease", "grant", "30"),
]

COMPACTION = [
    row("put", "c/a", "1"),
    row("put", "c/a", "2"),
    row("compaction", "5"),
    row("compaction", "5"),
    row("compaction", "4", "--physical"),
    row("compaction", "8", "--physical"),
    row("compaction", "100000"),
    row("compaction", "-1"),
    row("compaction", "x"),
    row("compaction"),
    row("get", "c/a", "--rev=7"),
    row("get", "c/a"),
    row("watch", "c/a", "--rev=3"),
]

MAINTENANCE = [
    *in_every_format("endpoint", "health"),
    *in_every_format("endpoint", "status"),
    *in_every_format("endpoint", "hashkv"),
    row("endpoint", "hashkv", "--rev=9"),
    row("endpoint", "hashkv", "--rev=100000"),
    row("endpoint", "health", "--cluster"),
    row("endpoint", "status", "--cluster"),
    row("endpoint", "hashkv", "--cluster"),
    row("endpoint"),
    *in_every_format("alarm", "list"),
    *in_every_format("alarm", "disarm"),
    row("alarm", "list", "more"),
    row("defrag"),
    row("defrag", "--cluster"),
    *in_every_format("member", "list"),
    row("move-leader", "{member}"),
    row("move-leader", "4d2"),
    row("move-leader", "xyz"),
    row("move-leader"),
    row("snapshot", "save", "{data}/saved.db"),
    row("snapshot", "save", "{data}/nowhere/saved.db"),
    row("snapshot", "save"),
    *in_every_format("snapshot", "status", "{data}/saved.db"),
    row("snapshot", "status", "{data}/none.db"),
    row("snapshot", "restore", "{data}/saved.db", "--data-dir={data}/restored"),
    row("snapshot", "restore", "{data}/saved.db", "--data-dir={data}/restored"),
    row("version"),
    row("lock"),
    row("elect"),
    row("elect", "e", "--listen", "proposal"),
    row("make-mirror"),
    row("watch"),
    row("lock", "locked", "echo", "held"),
    row("lock", "locked", "false"),
    row("lock", "locked", "--ttl=2", "--", "sh", "-c", "exit 3"),
    row("get", "locked", "--prefix"),
]

SCRIPT = [*KEYS, *TXNS, *LEASES, *COMPACTION, *MAINTENANCE]
