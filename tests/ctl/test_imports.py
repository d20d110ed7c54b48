"""What a command loads: a script calls it a hundred times."""

import json
import subprocess
import sys

import pytest

from tests.ctl.site import Site

pytestmark = pytest.mark.integration

HEAVY = {"asyncssh", "textual", "rich", "msgspec", "hpack", "yaml", "psutil", "uvloop"}

PROGRAM = """
import json, sys
from c101.tui.ctl.main import main
sys.argv = ["c101ctl", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

HELP = """
import json, sys
from c101.tui.ctl.main import VERBS, root
for verb in VERBS:
    assert root.main([verb, "--help"], standalone_mode=False, prog_name="c101ctl") == 0
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(site: Site, program: str, *arguments: str) -> set[str]:
    """Run *program* in a process of its own; return the modules that it ended with."""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        env=site.environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_get_loads_what_it_needs_and_no_more(site: Site) -> None:
    site.ok("set", "light", "1")
    modules = loaded(site, PROGRAM, "--kv", site.kv, "get", "light")
    assert not modules & HEAVY
    ours = {name for name in modules if name.startswith("c101.")}
    unneeded = ("c101.agents", "c101.core.registry", "c101.core.config", "c101.core.units")
    assert not [name for name in ours if name.startswith(unneeded)]
    assert not ours & {f"c101.core.etcd.{name}" for name in ("lease", "lock", "txn", "watch")}


@pytest.mark.parametrize("arguments", [("set", "light", "1"), ("ls", "/"), ("list-units",)])
def test_no_verb_on_a_unix_socket_loads_ssh_or_a_terminal_library(
    site: Site, arguments: tuple[str, ...]
) -> None:
    modules = loaded(site, PROGRAM, "--kv", site.kv, *arguments)
    assert not modules & {"asyncssh", "textual", "rich", "hpack"}


def test_help_of_every_verb_is_printed_without_ssh_or_a_terminal_library(alone: Site) -> None:
    assert not loaded(alone, HELP) & {"asyncssh", "textual", "rich"}


def test_help_of_the_root_names_every_verb_and_loads_no_client(alone: Site) -> None:
    modules = loaded(alone, PROGRAM, "--help")
    assert not modules & (HEAVY | {"asyncio", "google.protobuf"})
