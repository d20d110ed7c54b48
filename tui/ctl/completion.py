"""``c101ctl completion SHELL``."""

import sys

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL: ``eval "$(c101ctl completion bash)"``."""
    from c101.tui.ctl.main import root

    found = get_completion_class(shell)
    assert found is not None
    sys.stdout.write(found(root, {}, "c101ctl", "_C101CTL_COMPLETE").source() + "\n")
