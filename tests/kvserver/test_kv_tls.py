"""``c101-core kv`` with TLS: etcdctl, grpcio, curl and the engine reach it; others do not."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.errors import ConfigError
from c101.core.listen import TlsFlags, parse_listen
from c101.core.proto import rpc_pb2
from tests.certificates import Authority, Pair
from tests.kvserver.processes import HAVE_ETCDCTL, START_SECONDS, free_port

WAIT_SECONDS = 20.0


class SecureKv:
    """``c101-core kv`` on https, which asks clients for a certificate."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "pki")
        self.server = self.authority.sign("server")
        self.alice = self.authority.sign("alice")
        self.directory = directory
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "c101.core.daemon", "kv"),
            f"--data-dir={self.directory / 'kv'}",
            f"--listen={self.url}",
            f"--cert-file={self.server.cert}",
            f"--key-file={self.server.key}",
            f"--trusted-ca-file={self.authority.file}",
            "--client-cert-auth",
        ]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, (self.directory / "log").read_text()
            try:
                self.get("/health")
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def get(self, path: str) -> object:
        context = ssl.create_default_context(cafile=self.authority.file)
        context.load_cert_chain(self.alice.cert, self.alice.key)
        with urllib.request.urlopen(self.url + path, timeout=10, context=context) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: object, token: str = "") -> dict[str, str]:
        """Make a call through the gateway, with alice's certificate; return its answer or error."""
        context = ssl.create_default_context(cafile=self.authority.file)
        context.load_cert_chain(self.alice.cert, self.alice.key)
        fields = {"Authorization": token} if token else {}
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=10, context=context
        )
        try:
            connection.request("POST", path, json.dumps(body), fields)
            answer: dict[str, str] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def etcdctl(
        self, *arguments: str, pair: Pair | None, seconds: int = 20
    ) -> subprocess.CompletedProcess[str]:
        shown = [] if pair is None else [f"--cert={pair.cert}", f"--key={pair.key}"]
        return subprocess.run(
            [
                "etcdctl",
                f"--endpoints={self.url}",
                f"--cacert={self.authority.file}",
                f"--dial-timeout={seconds}s",
                f"--command-timeout={seconds}s",
                *shown,
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=50,
            env={**os.environ, "ETCDCTL_API": "3"},
            check=False,
        )

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)


@pytest.fixture(scope="module")
def kv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKv]:
    made = SecureKv(tmp_path_factory.mktemp("secure"))
    made.start()
    yield made
    made.stop()


@pytest.mark.integration
@pytest.mark.skipif(not HAVE_ETCDCTL, reason="no etcdctl here")
def test_etcdctl_with_a_certificate_is_served_and_without_one_is_not(kv: SecureKv) -> None:
    assert kv.etcdctl("put", "a", "1", pair=kv.alice).stdout == "OK\n"
    assert kv.etcdctl("get", "a", pair=kv.alice).stdout == "a\n1\n"
    listed = json.loads(kv.etcdctl("member", "list", "-w", "json", pair=kv.alice).stdout)
    assert listed["members"][0]["clientURLs"] == [kv.url]
    refused = kv.etcdctl("put", "a", "2", pair=None, seconds=2)
    assert refused.returncode != 0
    assert kv.etcdctl("get", "a", pair=kv.alice).stdout == "a\n1\n"


def test_grpcio_with_a_certificate_is_served(kv: SecureKv) -> None:
    credentials = grpc.ssl_channel_credentials(
        kv.authority.file.read_bytes(), kv.alice.key.read_bytes(), kv.alice.cert.read_bytes()
    )
    with grpc.secure_channel(f"127.0.0.1:{kv.port}", credentials) as channel:
        put = channel.unary_unary(
            "/etcdserverpb.KV/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )
        answer = put(rpc_pb2.PutRequest(key=b"grpcio"), timeout=WAIT_SECONDS)
        assert answer.header.revision > 1


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_reaches_the_gateway_over_tls(kv: SecureKv) -> None:
    def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["curl", "-sS", "--max-time", "20", "--cacert", str(kv.authority.file)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    # As it is, curl offers HTTP/2 as well.
    url, body = f"{kv.url}/v3/kv/put", '{"key":"Y3VybA=="}'
    done = curl("--cert", str(kv.alice.cert), "--key", str(kv.alice.key), url, "-d", body)
    assert "header" in json.loads(done.stdout)
    assert curl(url, "-d", body).returncode != 0


def test_plain_text_is_not_answered(kv: SecureKv) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://127.0.0.1:{kv.port}/health", timeout=10)
    assert kv.get("/health") == {"health": "true"}


def engine(kv: SecureKv, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "c101.core.daemon", "engine", "--kv", kv.url, *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_the_engine_leads_on_a_kv_over_tls(kv: SecureKv) -> None:
    process = engine(
        kv,
        f"--kv-cacert={kv.authority.file}",
        f"--kv-cert={kv.alice.cert}",
        f"--kv-key={kv.alice.key}",
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "engine leads" in line:
                break
        else:
            raise AssertionError("it ended")
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_SECONDS)


def test_files_that_the_engine_cannot_use_are_one_clear_line(kv: SecureKv) -> None:
    process = engine(kv, f"--kv-cacert={kv.directory / 'none.pem'}")
    _, said = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2
    assert said.startswith("c101-core: TLS: ")
    assert "none.pem" in said
    assert said.count("\n") == 1


NO_TLS = TlsFlags(cert_file=None, key_file=None, trusted_ca_file=None, client_cert_auth=False)
OWN = Path("server.pem")
SERVER_ONLY = TlsFlags(cert_file=OWN, key_file=OWN, trusted_ca_file=None, client_cert_auth=False)
WITH_CLIENTS = TlsFlags(cert_file=OWN, key_file=OWN, trusted_ca_file=OWN, client_cert_auth=True)


@pytest.mark.parametrize(
    ("url", "flags"),
    [
        ("http://127.0.0.1:1", NO_TLS),
        ("http://localhost", WITH_CLIENTS),
        ("https://[::1]:1", SERVER_ONLY),
        ("https://192.0.2.1:1", WITH_CLIENTS),
        ("https://0.0.0.0", WITH_CLIENTS),
    ],
)
def test_where_it_may_listen(url: str, flags: TlsFlags) -> None:
    listen = parse_listen(url, flags)
    assert listen.secure is url.startswith("https")
    assert listen.port == (1 if url.endswith(":1") else 2379)


@pytest.mark.parametrize(
    ("url", "flags", "reason"),
    [
        ("http://192.0.2.1:1", NO_TLS, "plain TCP is served on loopback only"),
        ("http://192.0.2.1:1", WITH_CLIENTS, "plain TCP is served on loopback only"),
        ("http://0.0.0.0:1", WITH_CLIENTS, "plain TCP is served on loopback only"),
        ("https://192.0.2.1:1", SERVER_ONLY, "TLS without client certificates is served on"),
        ("https://0.0.0.0:1", SERVER_ONLY, "TLS without client certificates is served on"),
        ("ftp://127.0.0.1", NO_TLS, "not of the form"),
        ("http://127.0.0.1/x", NO_TLS, "not of the form"),
        ("https://", SERVER_ONLY, "not of the form"),
        ("http://127.0.0.1:x", NO_TLS, "--listen http://127.0.0.1:x: "),
    ],
)
def test_where_it_may_not_listen(url: str, flags: TlsFlags, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_listen(url, flags)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--listen=https://127.0.0.1:1"], "--cert-file and --key-file are needed"),
        (["--listen=https://127.0.0.1:1", "--cert-file=x"], "--cert-file and --key-file"),
        (["--listen=http://127.0.0.1:1", "--cert-file=x"], "TLS is served nowhere"),
        (["--listen=http://127.0.0.1:1", "--client-cert-auth"], "--trusted-ca-file says who"),
        (["--listen=http://127.0.0.1:1", "--host-whitelist=*"], "--host-whitelist"),
        (["--listen=https://127.0.0.1:1", "--cert-file=x", "--key-file=y"], "TLS: x: "),
    ],
)
def test_flags_that_do_not_go_together_are_one_clear_line(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    command = [sys.executable, "-m", "c101.core.daemon", "kv", f"--data-dir={tmp_path}"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.integration
@pytest.mark.skipif(not HAVE_ETCDCTL, reason="no etcdctl here")
def test_a_certificate_names_a_user_over_grpc_and_not_over_http(tmp_path: Path) -> None:
    kv = SecureKv(tmp_path)
    kv.start()
    try:
        for command in (
            "user add root:pw",
            "user grant-role root root",
            "user add alice --no-password",
            "role add a",
            "role grant-permission a readwrite a",
            "user grant-role alice a",
            "auth enable",
        ):
            done = kv.etcdctl(*command.split(), pair=kv.alice)
            assert done.returncode == 0, (command, done.stderr)
        assert kv.etcdctl("put", "a", "1", pair=kv.alice).stdout == "OK\n"
        assert "permission denied" in kv.etcdctl("put", "b", "1", pair=kv.alice).stderr
        refused = kv.post("/v3/kv/range", {"key": "YQ=="})
        assert refused["error"] == "etcdserver: user name is empty"
        token = kv.post("/v3/auth/authenticate", {"name": "root", "password": "pw"})["token"]
        found = kv.post("/v3/kv/range", {"key": "YQ=="}, token)
        assert found["count"] == "1"
    finally:
        kv.stop()
