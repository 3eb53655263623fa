"""Settings from the environment, also where a platform puts variables of its own beside them."""

import tomllib
from pathlib import Path

import pytest

from geventchat.cli import main
from tests.command import first_line, port, serving

KUBERNETES = {
    "GEVENTCHAT_PORT": "tcp://10.96.0.17:4040",
    "GEVENTCHAT_PORT_4040_TCP": "tcp://10.96.0.17:4040",
    "GEVENTCHAT_PORT_4040_TCP_ADDR": "10.96.0.17",
    "GEVENTCHAT_PORT_4040_TCP_PORT": "4040",
    "GEVENTCHAT_PORT_4040_TCP_PROTO": "tcp",
    "GEVENTCHAT_SERVICE_HOST": "10.96.0.17",
    "GEVENTCHAT_SERVICE_PORT": "4040",
    "GEVENTCHAT_SERVICE_PORT_CHAT": "4040",
}
"""For a service named geventchat."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Given":
    return Given(monkeypatch, capsys)


class Given:
    """An environment, and what `geventchat config` makes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = monkeypatch, capsys

    def config(self, *arguments: str, **variables: str) -> tuple[str, list[str]]:
        """Return the output and the lines on standard error."""
        for name, value in variables.items():
            self._patch.setenv(name, value)
        self.code = main(["config", *arguments])
        output, errors = self._capture.readouterr()
        return output, [line.removeprefix("geventchat: ") for line in errors.splitlines()]


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"GEVENTCHAT_PORT": "udp://10.96.0.17:4040"},
        {"GEVENTCHAT_PORT": "tcp://[fd00::17]:4040"},
        {"GEVENTCHAT_ADMIN_PORT": "tcp://10.96.0.18:4041", "GEVENTCHAT_ADMIN_SERVICE_HOST": "::1"},
        {"GEVENTCHAT_ENV_PYTHON_VERSION": "3.13", "GEVENTCHAT_NAME": "/bot/geventchat"},
    ],
    ids="kubernetes udp ipv6 another docker".split(),
)
def test_variables_of_a_service_of_this_name_are_ignored_with_one_warning(
    given: Given, others: dict[str, str]
) -> None:
    output, (line,) = given.config(**KUBERNETES | others)
    assert given.code == 0
    assert "port = 4040  # default\n" in output
    for name in KUBERNETES | others:
        assert f"{name}," in line.replace(";", ",")
    assert "enableServiceLinks: false" in line


def test_a_server_starts_beside_a_service_of_its_name(tmp_path: Path) -> None:
    with serving(**KUBERNETES) as process:
        assert port(first_line(process))


def test_a_port_in_the_environment_is_still_checked(given: Given) -> None:
    _, (line,) = given.config(GEVENTCHAT_PORT="10.96.0.17:4040")
    assert given.code == 2
    assert line == "GEVENTCHAT_PORT 10.96.0.17:4040: is not a whole number"


def test_a_limit_comes_from_the_environment(given: Given, tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("limits.rooms = 5\nlimits.history_days = 6")
    variables = {"GEVENTCHAT_LIMITS_ROOMS": "4", "GEVENTCHAT_LIMITS_HISTORY_BYTES": "2000000"}
    output, errors = given.config("--config", str(file), **variables)
    assert errors == []
    limits = tomllib.loads(output)["limits"]
    assert (limits["rooms"], limits["history_days"], limits["history_bytes"]) == (4, 6, 2_000_000)
    assert "rooms = 4  # GEVENTCHAT_LIMITS_ROOMS\n" in output


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("ROOMS", "0", "is less than 1"),
        ("ROOMS", "many", "is not a whole number"),
        ("PING_SECONDS", "19", "is less than 20"),
        ("OUTBOX_BYTES", "5000", "is less than limits.frame_bytes, 65536"),
    ],
)
def test_a_wrong_limit_in_the_environment_is_named(
    given: Given, variable: str, value: str, reason: str
) -> None:
    name = f"GEVENTCHAT_LIMITS_{variable}"
    _, errors = given.config(**{name: value})
    assert (given.code, errors) == (2, [f"{name} {value}: {reason}"])


def test_a_file_may_not_bound_an_outbox_below_a_frame(given: Given, tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("limits.outbox_bytes = 5000")
    _, errors = given.config("--config", str(file))
    reason = "is less than limits.frame_bytes, 65536"
    assert errors == [f"{file}: limits.outbox_bytes 5000: {reason}"]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("GEVENTCHAT_HISTORY_DAYS", ", did you mean GEVENTCHAT_LIMITS_HISTORY_DAYS?"),
        ("GEVENTCHAT_ROOMS", ", did you mean GEVENTCHAT_LIMITS_ROOMS?"),
        ("GEVENTCHAT_LIMITS__ROOMS", ", did you mean GEVENTCHAT_LIMITS_ROOMS?"),
        ("GEVENTCHAT_PASSWROD", ", did you mean GEVENTCHAT_PASSWORD?"),
        ("GEVENTCHAT_port", ", did you mean GEVENTCHAT_PORT?"),
        ("GEVENTCHAT_COLOUR_OF_IT", " and is ignored"),
    ],
)
def test_a_variable_that_nothing_reads_is_warned_of(given: Given, variable: str, hint: str) -> None:
    _, errors = given.config(**{variable: "4"})
    assert (given.code, errors) == (0, [f"{variable} is not a known variable{hint}"])


def test_a_variable_of_another_command_is_not_warned_of(given: Given) -> None:
    assert given.config(GEVENTCHAT_TOKEN="of-an-operator", GEVENTCHAT_NICK="Ann")[1] == []


def test_an_empty_variable_is_warned_of(given: Given) -> None:
    """In a compose file it is one that was not given: without it the server has no password."""
    assert given.config(GEVENTCHAT_PASSWORD="")[1] == [
        "GEVENTCHAT_PASSWORD is empty, which is the same as not set"
    ]
