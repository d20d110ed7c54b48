"""Making keys: the identity of a user, the host key of a gateway. Always Ed25519.

The ``cryptography`` package is loaded only where a key has to be made: it takes a while.
"""

import os
from pathlib import Path

from c101.agents.ssh.public_key import PublicKey, parse_public_key
from c101.core.errors import ConfigError


def ensure_key(path: Path) -> PublicKey:
    """Return the public half of the key at *path*, which is made (0600) if it is not there.

    The public half is kept beside it as ``PATH.pub``. Raises ConfigError when the file cannot be
    read or made.
    """
    public = path.with_name(path.name + ".pub")
    try:
        if path.exists() and public.exists():
            return parse_public_key(public.read_text())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = _derive(path) if path.exists() else _make(path)
        public.write_text(line + "\n")
        return parse_public_key(line)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no SSH key at {path}: {error}") from error


def _make(path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    # Under a name of its own first: a crash never leaves half a key behind.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _derive(path: Path) -> str:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_ssh_private_key,
    )

    key = load_ssh_private_key(path.read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
