"""``make agent``: the agent's file for every Python and processor that is supported."""

import argparse
import sys
import tempfile
from pathlib import Path

from c101.agents.install.bundle import assemble, downloaded_files, file_name
from c101.agents.install.target import TARGETS
from c101.core.errors import C101Error


def main() -> None:
    """Make the files that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m c101.agents.install", description=__doc__)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    parser.add_argument("--into", type=Path, default=Path("dist/agent"), metavar="DIR")
    words = [target.word for target in TARGETS]
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(words)}")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(words):
        parser.error(f"{', '.join(unknown)}: not of {', '.join(words)}")
    options.into.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        if options.targets and target.word not in options.targets:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            try:
                files = downloaded_files(target, options.lock, Path(scratch))
                bundle = assemble(target, files)
            except C101Error as error:
                sys.exit(str(error))
        path = options.into / file_name(target)
        path.write_bytes(bundle.data)
        print(f"{path}  {len(bundle.data) / 1e6:.1f} MB  {bundle.id}")


if __name__ == "__main__":
    main()
