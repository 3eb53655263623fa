"""Rejects a run that cannot work in the start form, with the messages of the command line."""

from argparse import ArgumentTypeError

from flask import Response, jsonify, request
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.support.address import Address
from loadtests.support.command import CannotRun
from loadtests.support.login import Login
from loadtests.support.preflight import check_host, check_users
from loadtests.users.options import CHECKS

_USERS = "user_count"
_REQUIRED = (_USERS, "spawn_rate")
"""Fields without which Locust starts nothing, unless there is a shape."""


def guard(environment: Environment, login: Login) -> None:
    """Check the form before Locust does, and answer as it answers an invalid field.

    A password or token is only sent to the server that it was given for: any page that the
    browser shows can submit the form, with a host of its own.
    """
    web_ui, given = environment.web_ui, environment.host
    assert web_ui is not None
    assert web_ui.app is not None
    # Behind the login of the page, if there is one.
    check = web_ui.auth_required_if_enabled(lambda: _refusal(environment, login, given))

    def before() -> Response | None:
        swarm = request.method == "POST" and request.path.endswith("/swarm")
        return check() if swarm else None

    web_ui.app.before_request(before)


def _refusal(environment: Environment, login: Login, given: str | None) -> Response | None:
    options, runner = environment.parsed_options, environment.runner
    assert options is not None
    host = request.form.get("host", environment.host or "")
    fields = {} if environment.shape_class else dict.fromkeys(_REQUIRED, "")
    fields |= request.form.to_dict() | {"host": host}
    try:
        _check_fields(fields)
        workers = runner.worker_count if isinstance(runner, MasterRunner) else 1
        if not workers:
            raise CannotRun("No worker is connected, so nobody can run the users.")
        if login.secret and given and Address.parse(host) != Address.parse(given):
            raise CannotRun(f"The password or token is for {given}: start anew for another server.")
        check_host(host, login)
        check_users(host, int(fields.get(_USERS) or options.num_users or 1), workers)
    except CannotRun as why:
        return jsonify(success=False, message=str(why), host=host)
    return None


def _check_fields(fields: dict[str, str]) -> None:
    """Raise CannotRun if a field is not what its option may be."""
    for field, text in fields.items():
        option = "num_users" if field == _USERS else field
        if option not in CHECKS or (option == "run_time" and not text):  # until it is stopped
            continue
        try:
            CHECKS[option](text)
        except ArgumentTypeError as error:
            raise CannotRun(f"{field.replace('_', ' ')}: {error}.") from None
