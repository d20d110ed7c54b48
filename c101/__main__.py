"""``python -m c101`` is ``c101-console``."""

from c101.tui.main import main

if __name__ == "__main__":
    main()
