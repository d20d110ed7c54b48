"""journald's journal, read through ``journalctl``."""
