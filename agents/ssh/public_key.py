"""An SSH public key as its bytes, without any cryptography: enough to compare and to name it."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

#: What OpenSSH of this decade writes. DSA and certificates are not keys to be trusted as such.
KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
#: An RSA key of 16,384 bits takes 2,800 characters.
ENCODED_KEY_CHARACTERS_MAX = 8_192


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key's type and its wire form (RFC 4253, section 6.6)."""

    key_type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """Return ``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """Return the key as a public key file holds it, without a comment."""
        return f"{self.key_type} {base64.b64encode(self.blob).decode()}"

    def __str__(self) -> str:
        """Name the key for people: type and fingerprint."""
        return f"{self.key_type} {self.fingerprint}"


def parse_public_key(text: str) -> PublicKey:
    """Read ``TYPE BASE64 [COMMENT]``. Raises ValueError with the reason."""
    key_type, _, rest = text.strip().partition(" ")
    if key_type not in KEY_TYPES:
        raise ValueError(f"not a type of public key: {key_type[:64]!r}")
    encoded = rest.strip().partition(" ")[0]
    if not 0 < len(encoded) <= ENCODED_KEY_CHARACTERS_MAX:
        raise ValueError("the key is missing or too long")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the key is not base64: {error}") from error
    name = key_type.encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4) + name:
        raise ValueError("the key is of another type than its line says")
    return PublicKey(key_type, blob)
