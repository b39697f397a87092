"""What a client is told, and what it refuses before anything is tracked."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import momsflow
from momsflow import Client, ConfigError
from momsflow.address import proxy_for, server_address


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": "100"},
        {"batch_size": 100.5},
        {"when_full": "explode"},
        {"spool_sync": "sometimes"},
        {"spool_above": "half"},
        {"spool_dir": 5},
        {"flush_intervall": 1},
        {"flush_interval": float("nan")},
        {"exit_timeout": float("inf")},
        {"timeout": None},
        {"on_error": "print"},
        {"max_queue_bytes": 10},
        {"proxy": "socks5://localhost"},
        {"proxy": "http://localhost:port"},
        {"proxy": 8080},
        {"ca_file": "/nowhere.pem", "host": "https://localhost"},
        {"ssl_context": True, "host": "https://localhost"},
        {"write_key": b"key"},
        {"write_key": " "},
        {"host": 8080},
        {"host": "  "},
        {"host": "http://"},
        {"host": "http://a b"},
        {"host": "http://a..b"},
        {"host": "http://localhost/ä"},
        {"host": "http://localhost/?key=1"},
        {"host": "http://key@localhost"},
        {"host": "ftp://localhost"},
        {"host": "http://localhost:99999"},
        {"host": "http://[::1"},
    ],
)
def test_wrong_options_are_refused_when_the_client_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Client(**{"write_key": "key", **options})


@pytest.mark.parametrize(
    ("host", "scheme", "netloc", "path"),
    [
        ("events.example.com", "https", "events.example.com", ""),
        (" http://localhost:8080/\n", "http", "localhost:8080", ""),
        ("https://example.com/events/", "https", "example.com", "/events"),
        ("http://bücher.example:81", "http", "xn--bcher-kva.example:81", ""),
        ("http://[::1]:8080", "http", "[::1]:8080", ""),
    ],
)
def test_an_address_is_read_as_it_is_meant(host: str, scheme: str, netloc: str, path: str) -> None:
    address = server_address(host)
    assert (address.scheme, address.netloc, address.path) == (scheme, netloc, path)


def test_the_environments_proxy_is_not_for_this_machine_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "internal.example.com")
    assert proxy_for(server_address("http://127.0.0.1:8080"), None) is None
    assert proxy_for(server_address("http://internal.example.com"), None) is None
    proxy = proxy_for(server_address("http://events.example.com"), None)
    assert proxy is not None
    assert (proxy.host, proxy.port) == ("proxy.example.com", 3128)


def test_a_client_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError):
        Client()
    monkeypatch.setenv("MOMSFLOW_WRITE_KEY", "from the environment\n")
    Client()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "write key"),
        ({"MOMSFLOW_WRITE_KEY": "key", "MOMSFLOW_HOST": "http://"}, "host"),
        ({"MOMSFLOW_WRITE_KEY": "key", "MOMSFLOW_HOST": "http://a", "http_proxy": "socks5://b"}, "proxy"),
    ],
)
def test_an_environment_that_is_wrong_is_logged_and_nothing_raises(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    momsflow.close()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        assert momsflow.track("u-1", "E") is False
        assert says in caplog.text
        assert momsflow.stats().enqueued == 0
    finally:
        momsflow.close()


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_frameworks_that_debug_are_strict_with_a_key_of_the_environment(framework: str) -> None:
    program = {
        "flask": """
from flask import Flask
from momsflow.integrations.flask import Momsflow
app = Flask("magazine")
app.debug = True
Momsflow(app)
""",
        "django": """
import django
from django.conf import settings
settings.configure(DEBUG=True, INSTALLED_APPS=["momsflow.integrations.django"])
django.setup()
""",
    }[framework]
    program = f"{program}\nimport momsflow\nprint(momsflow.default_client().is_strict)"
    environment = {"MOMSFLOW_WRITE_KEY": "key"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
