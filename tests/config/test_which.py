"""Which cluster is meant where nobody says it: files, their order, and what is missing."""

from pathlib import Path

import pytest

from c101.core.config import ClusterAddress, is_configured, resolve
from c101.core.errors import ConfigError


def meant(home: Path, name: str | None = None) -> ClusterAddress:
    return resolve(kv=None, cluster=name, environ={"HOME": str(home)})


def write(home: Path, name: str, text: str) -> Path:
    path = home / ".config" / "c101" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_none_is(tmp_path: Path) -> None:
    assert not is_configured({"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="none runs"):
        meant(tmp_path)


def test_the_only_one_is(tmp_path: Path) -> None:
    write(tmp_path, "clusters/prod.yaml", "kv: ssh://root@m1/kv-admin\n")
    assert is_configured({"HOME": str(tmp_path)})
    found = meant(tmp_path)
    assert (found.name, found.kv) == ("prod", "ssh://root@m1/kv-admin")


def test_of_several_one_is_named_or_the_default(tmp_path: Path) -> None:
    write(tmp_path, "clusters/prod.yaml", "kv: ssh://root@m1/kv-admin\n")
    write(tmp_path, "clusters/test.yaml", "kv: http://127.0.0.1:2379\n")
    with pytest.raises(ConfigError, match="prod, test") as caught:
        meant(tmp_path)
    assert "--cluster" in (caught.value.hint or "")
    assert meant(tmp_path, "test").kv == "http://127.0.0.1:2379"
    write(tmp_path, "config.yaml", "default: prod\n")
    assert meant(tmp_path).name == "prod"


def test_the_file_of_all_goes_before_one_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "clusters/prod.yaml", "kv: http://a:2379\n")
    write(tmp_path, "config.yaml", "clusters: {prod: {kv: 'http://b:2379'}}\n")
    assert meant(tmp_path).kv == "http://b:2379"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "clusters/prod.yaml", "kv: [\n")
    with pytest.raises(ConfigError, match=str(path)):
        meant(tmp_path)
    path.write_text("kv: 7\n")
    with pytest.raises(ConfigError, match=r"\$\.kv"):
        meant(tmp_path)
