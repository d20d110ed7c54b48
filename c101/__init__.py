"""c101: a cluster of Linux machines, run from one terminal."""

__version__ = "0.1.0"
