"""What this machine fills in for specifiers such as ``%H``."""

import os
import platform
import pwd
from pathlib import Path

from c101.agents.runtime.process.keeper.status import boot_id
from c101.core.units.specifiers import HostFacts


def host_facts(machine_id: str) -> HostFacts:
    """Return the facts of this machine, known to the cluster as *machine_id*."""
    account = pwd.getpwuid(os.getuid())
    system = os.uname()
    places = {}
    if os.getuid() != 0:
        home = Path(account.pw_dir)
        places = {
            "runtime_directory": os.environ.get("XDG_RUNTIME_DIR", "/run"),
            "state_directory": str(home / ".local" / "state"),
            "cache_directory": str(home / ".cache"),
            "log_directory": str(home / ".local" / "state" / "log"),
            "configuration_directory": str(home / ".config"),
        }
    return HostFacts(
        machine_id=machine_id,
        boot_id=boot_id(),
        hostname=system.nodename,
        kernel=system.release,
        architecture=platform.machine().replace("_", "-"),
        user=account.pw_name,
        group=str(os.getgid()),
        uid=os.getuid(),
        gid=os.getgid(),
        home=account.pw_dir,
        shell=account.pw_shell,
        **places,
    )
