"""A whole cluster on this computer: its verbs, its faults, what it leaves behind."""
