"""Which certificates a KV on https is reached with."""

from pathlib import Path

import pytest

from c101.core.config import resolve
from c101.core.kv_tls import KvTls

CONFIG = """
clusters:
  prod:
    kv: https://a:2379
    tls: {ca_file: prod-ca.pem, cert_file: prod.pem, key_file: prod.key}
"""
OF_THE_FILE = KvTls(ca_file="prod-ca.pem", cert_file="prod.pem", key_file="prod.key")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (KvTls(), OF_THE_FILE),
        (
            KvTls(ca_file="other.pem"),
            KvTls(ca_file="other.pem", cert_file="prod.pem", key_file="prod.key"),
        ),
        # A key of one pair never goes with the certificate of another.
        (KvTls(cert_file="mine.pem"), KvTls(ca_file="prod-ca.pem", cert_file="mine.pem")),
    ],
)
def test_what_is_given_goes_before_the_file(tmp_path: Path, given: KvTls, used: KvTls) -> None:
    path = tmp_path / "c101" / "config.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    assert resolve(kv=None, cluster="prod", environ=environ, tls=given).tls == used


def test_an_endpoint_that_is_named_has_what_is_given_and_no_more(tmp_path: Path) -> None:
    given = KvTls(ca_file="ca.pem")
    address = resolve(kv="https://a", cluster=None, environ={"HOME": str(tmp_path)}, tls=given)
    assert address.tls == given
