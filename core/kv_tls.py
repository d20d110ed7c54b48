"""The certificates for a KV on https, as people name them: flags, variables, configuration."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class KvTls:
    """PEM files for a KV on https: who signs it, and what we show it. Empty: not given."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def over(self, other: "KvTls") -> "KvTls":
        """Return these files, and *other*'s where one is not given.

        A certificate and its key are of one piece: whoever gives one gives both.
        """
        pair = self if self.cert_file or self.key_file else other
        return KvTls(
            ca_file=self.ca_file or other.ca_file, cert_file=pair.cert_file, key_file=pair.key_file
        )


#: Of each of these files the flag and the variable that name it, and what it is. What runs in a
#: unit finds in the variables what its agent was told.
KV_TLS: Final = {
    "ca_file": ("--kv-cacert", "C101_KV_CACERT", "PEM: who signs the KV's certificate."),
    "cert_file": ("--kv-cert", "C101_KV_CERT", "PEM: our certificate, for the KV."),
    "key_file": ("--kv-key", "C101_KV_KEY", "PEM: its key."),
}
