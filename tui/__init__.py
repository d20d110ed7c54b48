"""What a person meets: the console and ``c101ctl``."""
