"""``make lab``: some machines to play with, until return is pressed."""

import argparse
import sys
import sysconfig
from pathlib import Path

from tests.lab.image import missing
from tests.lab.lab import Lab


def main() -> None:
    """Boot machines, say how they are entered, and end them."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("machines", type=int, nargs="?", default=3)
    options = parser.parse_args()
    if reason := missing():
        sys.exit(f"no machine can be booted here: {reason}")
    repository = Path(__file__).parents[2]
    packages = Path(sysconfig.get_paths()["purelib"])
    print("booting; the first time an image is made, which takes half a minute")
    with Lab(options.machines, binds={"/c101": repository, "/packages": packages}) as lab:
        for machine in lab.machines:
            print(f"{machine.name}  ssh -i {lab.key} root@{machine.address}")
        print("They see this repository at /c101. Return ends them.")
        sys.stdin.readline()


if __name__ == "__main__":
    main()
