"""A real etcd that shows a certificate and asks for one."""

from collections.abc import Sequence
from pathlib import Path

from tests.etcd.certificates import Authority
from tests.processes import EtcdProcess, free_port


class TlsEtcd(EtcdProcess):
    """Debian's etcd with an authority of its own; plain HTTP says only how it is."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        super().__init__(directory, port=port)
        directory.mkdir(exist_ok=True)
        self._plain = f"http://127.0.0.1:{free_port()}"
        self.authority = Authority(directory)
        self._own = self.authority.sign("server")

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")

    @property
    def health_url(self) -> str:
        return self._plain

    def command(self) -> Sequence[str]:
        return [
            *super().command(),
            f"--cert-file={self._own.cert}",
            f"--key-file={self._own.key}",
            f"--trusted-ca-file={self.authority.ca}",
            "--client-cert-auth",
            f"--listen-metrics-urls={self._plain}",
        ]
