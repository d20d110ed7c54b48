"""The machine's own commands, as the tests within it give them."""

import asyncio

SLEEPER = "ExecStart=/bin/sleep 1000"


async def run(*argv: str) -> str:
    """Run a command that succeeds and return what it printed."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0, argv
    return printed.decode().strip()


async def systemctl(*arguments: str) -> str:
    """Run ``systemctl`` and return what it printed."""
    return await run("systemctl", *arguments)


async def show(unit: str, name: str) -> str:
    """Return a property of a unit as ``systemctl show`` prints it."""
    return await systemctl("show", "--value", f"--property={name}", "--", unit)


async def empty_the_journal() -> None:
    """Have journald forget all that it has stored."""
    await run("journalctl", "--quiet", "--rotate", "--vacuum-size=1K")
