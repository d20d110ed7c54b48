"""How a command gets into a container. Pure."""

from collections.abc import Sequence

from c101.core.errors import C101Error
from c101.core.model.host import Container

#: The namespaces of a process; in those that are the host's own nothing changes.
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")


def entering(container: Container, argv: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """Return what runs *argv* in *container*. Raises C101Error: nothing runs there."""
    if container.pid is None:
        raise C101Error(
            f"{container.name} does not run: it is {container.state or 'of no known state'}",
            hint=f"c101ctl status {container.unit}" if container.unit else "",
        )
    if container.engine in {"docker", "podman"}:
        stdio = ("--interactive", "--tty") if terminal else ("--interactive",)
        return (container.engine, "exec", *stdio, container.id, *argv)
    if container.engine == "lxc":
        return ("lxc-attach", "--name", container.id, "--", *argv)
    # Both have processes of the host's, and a root that is another.
    return ("nsenter", f"--target={container.pid}", *_NAMESPACES, "--root", "--wd", "--", *argv)
