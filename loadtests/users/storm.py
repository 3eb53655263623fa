"""A reconnect storm: every rich user loses its connection at the same moment, and resumes."""

from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.users.rich import present

_MESSAGE = "chat_storm"


def listen(environment: Environment) -> None:
    """Make the users of this process obey `strike`."""
    assert environment.runner is not None
    if not isinstance(environment.runner, MasterRunner):
        environment.runner.register_message(_MESSAGE, _drop_all)


def strike(environment: Environment) -> None:
    """Cut off every rich user of every process."""
    assert environment.runner is not None
    environment.runner.send_message(_MESSAGE)


def _drop_all(**_: object) -> None:
    for user in list(present):
        user.drop()
