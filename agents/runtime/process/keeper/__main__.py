"""Where a keeper begins: ``python -I -S …/keeper/__main__.py ARGUMENTS`` (see ``keeper.main``).

Without site packages the place that c101 was imported from has to be found again: five levels up.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/c101/", 1)[0])
    from c101.agents.runtime.process.keeper.keeper import main

    sys.exit(main(sys.argv[1:]))
