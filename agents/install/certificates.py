"""Certificates for an etcd of our own: one authority, one for each member, one for who is root.

They are of ECDSA on P-256, which every etcd and every Go client takes. Loading this module loads
``cryptography``, which takes a while.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

#: How long all of them are good.
YEARS = 10
#: The clocks of hosts differ.
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: str
    key: str


class Authority:
    """Signs certificates; ``own`` is its own."""

    def __init__(self, name: str, now: float) -> None:
        self._now = datetime.fromtimestamp(now, UTC)
        self._key = _new_key()
        self._name = _name(name)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, SHA256())
        )
        self.own = _pair(certificate, self._key)

    def member(self, name: str, address: str) -> Pair:
        """Return the pair of the member at *address*: it is a server, and a client of others."""
        names: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(address)),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        return self._signed(
            name, x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH]), names
        )

    def client(self, user: str) -> Pair:
        """Return the pair by which a client is *user*."""
        return self._signed(user, x509.ExtendedKeyUsage([Usage.CLIENT_AUTH]), [])

    def _signed(
        self, name: str, usage: x509.ExtendedKeyUsage, names: list[x509.GeneralName]
    ) -> Pair:
        key = _new_key()
        builder = self._builder(_name(name), key).add_extension(usage, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pair(builder.sign(self._key, SHA256()), key)

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BEFORE)
            .not_valid_after(self._now + timedelta(days=365 * YEARS))
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), raw.decode())
