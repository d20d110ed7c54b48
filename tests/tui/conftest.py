"""What holds for every test of the console: colours and behaviour do not depend on whose shell."""

import os

# Textual reads some of these when it is imported, some when an app starts.
for _name in list(os.environ):
    # The snapshot plugin hands its own from one process to the next.
    if _name.startswith("TEXTUAL_SNAPSHOT_"):
        continue
    if _name in {"NO_COLOR", "FORCE_COLOR"} or _name.startswith("TEXTUAL_"):
        del os.environ[_name]
