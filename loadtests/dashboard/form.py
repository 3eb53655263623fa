"""Rejects a run that cannot work in the start form, with the messages of `preflight.py`."""

from flask import Response, jsonify, request
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.support.preflight import CannotRun, check_host, check_users


def guard(environment: Environment) -> None:
    """Check the form before Locust does, and answer as it answers an invalid field."""
    assert environment.web_ui is not None
    assert environment.web_ui.app is not None
    environment.web_ui.app.before_request(lambda: _refusal(environment))


def _refusal(environment: Environment) -> Response | None:
    if request.method != "POST" or not request.path.endswith("/swarm"):
        return None
    host = request.form.get("host") or environment.host or ""
    users = request.form.get("user_count", 0, int)  # 0 too if it is no number
    workers = environment.runner.worker_count if isinstance(environment.runner, MasterRunner) else 1
    try:
        check_host(host)
        check_users(host, users, workers or 1)
    except CannotRun as why:
        return jsonify(success=False, message=str(why), host=host)
    return None
