"""Engines over TCP and TLS, and those that Sentinels name."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import gevent
import pytest
import trustme

from geventchat.server.timeline.redis.engine import Away
from tests.engines import HOST, KINDS, RunningEngine, running, sentinel
from tests.server.timeline.redis.conftest import Connect

_OTHER_HOST = re.sub("[0-9]+$", "251", HOST)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_engine_is_reached_over_tcp(kind: str, connect: Connect) -> None:
    with running(kind, "--port", "6379", "--bind", HOST):
        line = connect(f"redis://{HOST}/2")
        assert line.call("SET", "a", "b") == b"OK"
        assert b" db=2" in line.call("CLIENT", "INFO")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ca: trustme.CA) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    return folder


@pytest.fixture(scope="module")
def secured(folder: Path, ca: trustme.CA) -> Iterator[RunningEngine]:
    """Run Debian's Redis with a certificate; the wheel of Valkey knows no TLS."""
    certificate = ca.issue_cert(HOST)
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    options = [
        "--port",
        "6384",
        "--tls-port",
        "6380",
        "--bind",
        f"{HOST} {_OTHER_HOST}",
        "--tls-auth-clients",
        "no",
    ]
    for name in ("cert", "key", "ca-cert"):
        options += [f"--tls-{name}-file", f"{folder}/{name.removesuffix('-cert')}.pem"]
    with running("redis", *options) as engine:
        yield engine


class TestTls:
    @pytest.mark.usefixtures("secured")
    def test_an_engine_is_reached_over_tls(self, folder: Path, connect: Connect) -> None:
        line = connect(f"rediss://{HOST}:6380?ca={folder}/ca.pem")
        big = bytes(1 << 20)
        assert line.call("SET", "a", big) == b"OK"
        assert line.call("GET", "a") == big
        assert line.call("PING") == b"PONG"

    def test_a_quiet_connection_that_was_ended_is_made_again(
        self, folder: Path, secured: RunningEngine, connect: Connect
    ) -> None:
        line = connect(f"rediss://{HOST}:6380?ca={folder}/ca.pem")
        line.call("PING")
        secured.call("CLIENT", "KILL", "TYPE", "normal")
        assert line.call("PING") == b"PONG"

    def test_an_engine_that_wants_a_certificate_is_shown_one(
        self, folder: Path, secured: RunningEngine, ca: trustme.CA, connect: Connect
    ) -> None:
        secured.call("CONFIG", "SET", "tls-auth-clients", "yes")  # its default
        try:
            certificate = ca.issue_cert("chat.test")
            certificate.private_key_and_cert_chain_pem.write_to_path(folder / "chat.pem")
            url = f"rediss://{HOST}:6380?ca={folder}/ca.pem"
            assert connect(f"{url}&cert={folder}/chat.pem").call("PING") == b"PONG"
            with pytest.raises(Away):  # it says why, but ends the connection without waiting
                connect(url).call("PING")
        finally:
            secured.call("CONFIG", "SET", "tls-auth-clients", "no")

    @pytest.mark.usefixtures("secured")
    def test_a_renewed_certificate_is_used_by_the_next_connection(
        self, folder: Path, connect: Connect
    ) -> None:
        file = folder / "changing.pem"
        file.write_bytes((folder / "other.pem").read_bytes())
        line = connect(f"rediss://{HOST}:6380?ca={file}")
        with pytest.raises(Away, match="certificate"):
            line.call("PING")
        file.write_bytes((folder / "ca.pem").read_bytes())
        assert line.call("PING") == b"PONG"

    @pytest.mark.usefixtures("secured")
    def test_a_certificate_that_is_not_trusted_is_refused(
        self, folder: Path, connect: Connect
    ) -> None:
        for query in ("", f"?ca={folder}/other.pem"):
            with pytest.raises(Away, match="certificate"):
                connect(f"rediss://{HOST}:6380{query}").call("PING")

    @pytest.mark.usefixtures("secured")
    def test_a_certificate_of_another_host_is_refused(self, folder: Path, connect: Connect) -> None:
        with pytest.raises(Away, match="certificate"):
            connect(f"rediss://{_OTHER_HOST}:6380?ca={folder}/ca.pem").call("PING")

    def test_no_tls_where_tls_is_asked_for(self, kind: str, connect: Connect) -> None:
        with running(kind, "--port", "6381", "--bind", HOST), pytest.raises(Away):
            connect(f"rediss://{HOST}:6381", seconds=0.3).call("PING")

    @pytest.mark.usefixtures("secured")
    def test_a_file_of_certificates_that_is_not_there(self, connect: Connect) -> None:
        with pytest.raises(Away, match="No such file"):
            connect(f"rediss://{HOST}:6380?ca=/none.pem").call("PING")


@pytest.mark.parametrize("scheme", ["unix", "redis", "rediss"])
def test_who_is_killed_while_connecting_leaves_no_socket(
    scheme: str, folder: Path, secured: RunningEngine, connect: Connect
) -> None:
    urls = {
        "unix": secured.url,
        "redis": f"redis://{HOST}:6384",
        "rediss": f"rediss://{HOST}:6380?ca={folder}/ca.pem",
    }
    line = connect(urls[scheme])
    gevent.sleep(0)
    before = os.listdir("/proc/self/fd")
    secured.signal(SIGSTOP)
    try:
        greenlet = gevent.spawn(line.call, "PING")
        while len(os.listdir("/proc/self/fd")) == len(before):
            gevent.sleep(0.001)
        greenlet.kill()
        gevent.sleep(0)
        assert os.listdir("/proc/self/fd") == before
    finally:
        secured.signal(SIGCONT)


class TestSentinel:
    @pytest.fixture
    def primary(self, kind: str) -> Iterator[RunningEngine]:
        with running(kind, "--port", "6382", "--bind", HOST) as engine:
            yield engine

    @pytest.fixture(autouse=True)
    def sentinel(self, kind: str) -> Iterator[None]:
        with sentinel(kind, HOST, "main", (HOST, 6382)):
            yield

    @pytest.mark.usefixtures("primary")
    def test_a_sentinel_says_where_the_primary_is(self, connect: Connect) -> None:
        line = connect(f"redis+sentinel://{_OTHER_HOST},{HOST}/main/1")
        assert line.call("SET", "a", "b") == b"OK"
        assert b" db=1" in line.call("CLIENT", "INFO")

    def test_after_a_failover_the_new_primary_is_found(
        self, kind: str, primary: RunningEngine, connect: Connect
    ) -> None:
        line = connect(f"redis+sentinel://{HOST}/main")
        line.call("SET", "a", "b")
        with running(kind, "--port", "6383", "--bind", HOST) as second:
            sentinel = connect(f"redis://{HOST}:26379", "failover")
            sentinel.call("SENTINEL", "REMOVE", "main")
            sentinel.call("SENTINEL", "MONITOR", "main", HOST, 6383, 1)
            primary.call("REPLICAOF", HOST, 6383)

            with pytest.raises(Away) as error:
                line.call("SET", "a", "c")
            assert error.value.answer is not None
            assert error.value.answer.code == "READONLY"
            line.call("SET", "a", "d")

            assert second.call("GET", "a") == b"d"

    def test_a_primary_that_does_not_run(self, connect: Connect) -> None:
        with pytest.raises(Away, match="refused"):
            connect(f"redis+sentinel://{HOST}/main").call("PING")

    def test_a_service_that_no_sentinel_knows(self, connect: Connect) -> None:
        with pytest.raises(Away, match="knows no other"):
            connect(f"redis+sentinel://{HOST}/other").call("PING")
