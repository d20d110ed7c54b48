"""Examples in docstrings and in docs, found and run: what is shown is what works."""

import inspect
import re
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from c101.core.etcd import connect
from c101.core.etcd.client import Client

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^ *Example::\n\n", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """Code as it is shown, and where."""

    where: str
    code: str

    async def run(self, client: Client, url: str) -> None:
        """Run it as the body of a coroutine that has ``client``, ``url`` and ``connect``."""
        source = "async def example(client, url, connect):\n" + textwrap.indent(self.code, "    ")
        names: dict[str, Callable[..., Awaitable[None]]] = {}
        exec(compile(source, f"<example of {self.where}>", "exec"), names)
        await names["example"](client, url, connect)


def in_docstring(where: str, of: object) -> Example | None:
    """Return the example at the end of the docstring of *of*, if it has one."""
    text = inspect.getdoc(of) or ""
    mark = _MARK.search(text)
    return None if mark is None else Example(where, textwrap.dedent(text[mark.end() :]))


def in_page(page: Path) -> Iterator[Example]:
    """Yield every block of Python of a page."""
    text = page.read_text()
    for found in _FENCED.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Example(f"{page.name}:{line}", found[1])


def public_methods(kind: type) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties that *kind* itself defines, by name."""
    for name, member in vars(kind).items():
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        yield name, member.fget if isinstance(member, property) else member
