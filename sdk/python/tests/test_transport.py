"""TLS, proxies, gzip, addresses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from momsflow import Client
from server import WRITE_KEY, Server
from waiting import PATIENCE, wait_until
from web_proxy import Front, TlsFront, WebProxy, certificate


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(server: Server, pem: tuple[Path, Path]) -> Iterator[TlsFront]:
    front = TlsFront(server.port, *pem)
    yield front
    front.close()


@pytest.fixture
def proxy() -> Iterator[WebProxy]:
    proxy = WebProxy()
    yield proxy
    proxy.close()


def deliver(mark: str, host: str, **options: object) -> Client:
    client = Client(WRITE_KEY, host, strict=True, exit_timeout=0.1, timeout=PATIENCE, **options)
    with client:
        track(client, mark)
        assert client.flush(PATIENCE), client.stats()
    return client


def fail(mark: str, host: str, **options: object) -> Client:
    """Tries until it has failed twice."""
    with Client(WRITE_KEY, host, strict=True, exit_timeout=0.1, **options) as client:
        track(client, mark)
        wait_until(lambda: client.stats().retries > 1)
    return client


def track(client: Client, mark: str) -> None:
    for n in range(100):
        client.track("u-1", mark, {"n": n, "text": "ä" * 100})


def test_tls_with_an_own_authority(server: Server, tls: TlsFront, pem: tuple[Path, Path], mark: str) -> None:
    client = deliver(mark, f"https://localhost:{tls.port}", ca_file=str(pem[0]))
    assert client.stats().delivered == 100, client.stats()
    server.wait_for_count(100, f"event = '{mark}'")


def test_tls_with_a_context_of_the_callers(tls: TlsFront, pem: tuple[Path, Path], mark: str) -> None:
    context = ssl.create_default_context(cafile=str(pem[0]))
    assert deliver(mark, f"https://127.0.0.1:{tls.port}", ssl_context=context).stats().delivered == 100


def test_an_unknown_certificate_is_not_trusted(tls: TlsFront, mark: str) -> None:
    stats = fail(mark, f"https://localhost:{tls.port}").stats()
    assert (stats.delivered, stats.dropped) == (0, 100)
    assert "CERTIFICATE_VERIFY_FAILED" in (stats.last_error or "")


def test_a_proxy_with_a_password(server: Server, proxy: WebProxy, mark: str) -> None:
    address = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
    assert deliver(mark, server.host, proxy=address).stats().delivered == 100
    assert proxy.requests == [f"POST {server.host}/v1/batch"]
    server.wait_for_count(100, f"event = '{mark}'")


def test_tls_through_a_proxy(tls: TlsFront, proxy: WebProxy, pem: tuple[Path, Path], mark: str) -> None:
    address = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
    client = deliver(mark, f"https://localhost:{tls.port}", proxy=address, ca_file=str(pem[0]))
    assert client.stats().delivered == 100, client.stats()
    assert proxy.requests == [f"CONNECT localhost:{tls.port}"]


def test_the_environment_names_the_proxy(
    server: Server, proxy: WebProxy, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
    # Only the proxy knows where that is.
    assert deliver(mark, f"http://events.invalid:{server.port}").stats().delivered == 100
    assert deliver(mark, server.host).stats().delivered == 100
    assert proxy.requests == [f"POST http://events.invalid:{server.port}/v1/batch"]


def test_a_proxy_that_drips_does_not_hold_a_request_for_ever(tls: TlsFront, proxy: WebProxy, mark: str) -> None:
    proxy.drips = True
    address = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
    host = f"https://localhost:{tls.port}"
    with Client(WRITE_KEY, host, proxy=address, timeout=0.5, exit_timeout=0.1) as client:
        client.track("u-1", mark)
        wait_until(lambda: len(proxy.requests) > 1)


def test_a_tls_connection_that_the_server_ended_meanwhile_is_no_failure(
    tls: TlsFront, pem: tuple[Path, Path], mark: str
) -> None:
    with Client(WRITE_KEY, f"https://localhost:{tls.port}", ca_file=pem[0]) as client:
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
        tls.cut()
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
    assert (client.stats().delivered, client.stats().retries) == (2, 0)


def test_a_hint_before_the_answer_is_not_the_answer(mark: str) -> None:
    class Hinting(Front):
        def serve(self, client: socket.socket) -> None:
            client.recv(1 << 20)
            client.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    front = Hinting()
    stats = fail(mark, f"http://127.0.0.1:{front.port}").stats()
    front.close()
    assert stats.dropped_by == {"exit": 100}


@pytest.mark.parametrize("compress", [True, False])
def test_gzip_makes_no_difference(server: Server, mark: str, compress: bool) -> None:
    assert deliver(mark, server.host, compress=compress).stats().delivered == 100
    server.wait_for(f"select count(distinct properties->>'n') from events where event = '{mark}'", "100")
    assert server.sql(f"select distinct properties->>'text' from events where event = '{mark}'") == "ä" * 100


def test_a_slash_at_the_end_of_the_host_does_no_harm(server: Server, mark: str) -> None:
    assert deliver(mark, f"{server.host}/").stats().delivered == 100


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>Please sign in</html>", "is this momsflow?"),
        (200, b'{"status":"sign in"}', "is this momsflow?"),
        (302, b"<html>Moved</html>", "the server answers 302"),
    ],
)
def test_who_is_no_momsflow_is_not_believed(status: int, body: bytes, says: str, mark: str) -> None:
    """A captive portal says 200 to everything, or sends all elsewhere."""
    import http.server
    import threading

    class Portal(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    portal = http.server.HTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=portal.serve_forever, daemon=True).start()
    stats = fail(mark, f"http://127.0.0.1:{portal.server_port}").stats()
    portal.shutdown()
    portal.server_close()
    assert stats.delivered == 0
    assert says in (stats.last_error or "")
