"""asyncssh is loaded without starting anything."""

import subprocess
import sys

PROGRAM = """
import sys

started = []
sys.addaudithook(lambda event, of: started.append(of) if event in SPAWNS else None)
SPAWNS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.system", "os.exec"}

from c101.agents.ssh.loading import load

module = load(sys.argv[1])
assert module is sys.modules[sys.argv[1]] is load(sys.argv[1])
assert "asyncssh" in sys.modules
import ctypes.util

assert ctypes.util.find_library.__module__ == "ctypes.util"
print(started)
"""


def test_loading_asyncssh_starts_no_compiler() -> None:
    for module in ("c101.agents.ssh.connection", "c101.agents.ssh.gateway_server"):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, module], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")
