"""The SSH link, against real OpenSSH at the other end of each half."""
