"""What a cluster is called that nobody gave a name."""

import pytest

from c101.core.config import resolve, short_name


@pytest.mark.parametrize(
    ("kv", "name"),
    [
        ("http://a:2379", "a:2379"),
        ("http://a:2379,http://b:2379,http://c:2379", "a:2379 +2"),
        ("unix:///run/c101/kv-admin.sock", "/run/c101/kv-admin.sock"),
        ("ssh://core@h/kv-admin", "core@h/kv-admin"),
        ("what is this", "what is this"),
    ],
)
def test_it_is_its_first_endpoint_and_how_many_follow(kv: str, name: str) -> None:
    assert short_name(kv) == name
    assert resolve(kv=kv, cluster=None, environ={"HOME": "/nowhere"}).name == name
