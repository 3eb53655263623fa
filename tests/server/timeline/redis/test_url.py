"""The URLs of engines."""

import pytest

from geventchat.config.checks import without_password
from geventchat.server.timeline.redis.url import Where, parse


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://host", Where(hosts=(("host", 6379),))),
        ("redis://10.0.0.1:7000/3", Where(hosts=(("10.0.0.1", 7000),), database=3)),
        ("redis://[::1]:7000/", Where(hosts=(("::1", 7000),))),
        ("redis://:s3cret@host", Where(hosts=(("host", 6379),), password="s3cret")),
        ("redis://ada:a%40b%2F@host", Where(hosts=(("host", 6379),), user="ada", password="a@b/")),
        (
            "rediss://host?ca=/etc/ca.pem",
            Where(hosts=(("host", 6379),), tls=True, ca="/etc/ca.pem"),
        ),
        (
            "rediss://host?cert=/etc/cert.pem&key=/etc/key.pem",
            Where(hosts=(("host", 6379),), tls=True, cert="/etc/cert.pem", key="/etc/key.pem"),
        ),
        ("redis://host?fsync=everysec", Where(hosts=(("host", 6379),), everysec=True)),
        ("unix:///run/redis.sock", Where(path="/run/redis.sock")),
        ("unix://:pw@/run/a%20b?db=2", Where(path="/run/a b", password="pw", database=2)),
        (
            "redis+sentinel://a,b:7000/main/1",
            Where(hosts=(("a", 26379), ("b", 7000)), service="main", database=1),
        ),
        (
            "rediss+sentinel://:pw@a/main",
            Where(hosts=(("a", 26379),), service="main", tls=True, password="pw"),
        ),
    ],
)
def test_a_url_says_where_the_engine_is(url: str, where: Where) -> None:
    assert parse(url) == where


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis:host", "is not a URL"),
        ("redis://", "does not name HOST or HOST:PORT"),
        ("redis://host:0", "does not name HOST or HOST:PORT"),
        ("redis://host:70000", "does not name HOST or HOST:PORT"),
        ("redis://a,b", "more than one host"),
        ("redis://ho st", "does not name HOST or HOST:PORT"),
        ("redis://host/one", "database"),
        ("redis://host/1/2", "database"),
        ("redis://host?retry=1", r"\?retry="),
        ("redis://host?fsync=no", r"\?fsync="),
        ("redis://host?fsync=always&fsync=everysec", "twice"),
        ("redis://host?ca=/etc/ca.pem", "ca="),
        ("rediss://host?ca=", "ca="),
        ("rediss://host?key=/etc/key.pem", "without cert="),
        ("redis://:p@ss@host", "%40"),
        ("redis://:p#ss@host", "%23"),
        ("redis://host#0", "is not a URL"),
        ("unix://", "does not name a socket"),
        ("unix://host/run/redis.sock", "does not name a socket"),
        ("redis+sentinel://a,b", "does not name the service"),
        ("redis+sentinel://a,/main", "does not name HOST or HOST:PORT"),
        ("http://host", "is not a URL"),
    ],
)
def test_a_url_that_says_nothing_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse(url)
    assert "ss@" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@host/1", "redis://:***@host/1"),
        ("redis://ada:s3cret@host", "redis://ada:***@host"),
        ("redis://ada:s@3/c?r#et@host", "redis://ada:***@host"),
        ("redis://ada:s3\ncret@host", "redis://ada:***@host"),
        ("redis+sentinel://:s3cret@a,b/main", "redis+sentinel://:***@a,b/main"),
        ("unix:///run/redis.sock?db=1&password=s3cret", "unix:///run/redis.sock?db=1&password=***"),
        ("redis://host/1", "redis://host/1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("sqlite:chat.db", "sqlite:chat.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_place_is_shown_without_its_password() -> None:
    where = parse("redis://ada:s3cret@host")
    assert "s3cret" not in f"{where} {where!r}"
