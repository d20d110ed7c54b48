"""What holds for every test: nothing is left behind, neither a task nor a child process.

And what a test counted (``summary``) is printed when all are done.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

#: How long what a test started may take to be gone once the test is over.
GRACE_SECONDS = 3.0


#: Called with a line for the end of the run.
Summary = Callable[[str], None]


@pytest.fixture
def summary(record_property: Callable[[str, object], None]) -> Summary:
    """Have a line printed at the end of the run, whichever process the test runs in."""
    return lambda line: record_property("summary", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests asked for by ``summary``."""
    lines = [
        str(line)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, line in getattr(report, "user_properties", ())
        if name == "summary" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("what was compared and checked")
        for line in sorted(lines):
            terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every asynchronous test the fixture that looks for tasks left behind."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "no_task_left_behind")


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fail a test that ends while a task it started still runs."""
    before = asyncio.all_tasks()
    yield
    loop = asyncio.get_running_loop()
    deadline = loop.time() + GRACE_SECONDS
    while left := asyncio.all_tasks() - before - {_current()}:
        if loop.time() > deadline:
            pytest.fail(f"tasks left behind: {[task.get_name() for task in left]}")
        await asyncio.sleep(0.01)


def _current() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail a test that ends while a process it started still runs."""
    here = psutil.Process()
    before = set(here.children(recursive=True))
    yield
    left = [
        process
        for process in here.children(recursive=True)
        if process not in before and not _in_a_machine(process)
    ]
    if not left:
        return
    _, alive = psutil.wait_procs(left, timeout=GRACE_SECONDS)
    if alive:
        named = [" ".join(_command(process)) for process in alive]
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=GRACE_SECONDS)
        pytest.fail(f"processes left behind: {named}")


def _in_a_machine(process: psutil.Process) -> bool:
    """Say whether it is of a machine of the lab, which outlives the test and ends with its lab."""
    try:
        return "/c101lab" in Path(f"/proc/{process.pid}/cgroup").read_text()
    except OSError:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return [str(process.pid)]
