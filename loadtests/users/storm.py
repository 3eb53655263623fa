"""A reconnect storm: all rich users lose their connections at once, and resume."""

from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.users.rich import present

_MESSAGE = "chat_storm"


def listen(environment: Environment) -> None:
    """Let `strike` reach the users of this process."""
    assert environment.runner is not None
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message(_MESSAGE, _drop_all)


def strike(environment: Environment) -> None:
    """Disconnect all rich users of all processes."""
    assert environment.runner is not None
    environment.runner.send_message(_MESSAGE)


def _drop_all(**_: object) -> None:
    for user in list(present):
        user.drop()
