"""A killed server has forgotten no mark that it confirmed, and counts what it had not written."""

import signal
from contextlib import ExitStack
from pathlib import Path

from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD
from tests.conversations.test_marks import mark, read, said
from tests.process import served


def test_marks_unread_and_mentions_are_right_after_a_kill(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with ExitStack() as servers:
        process = servers.enter_context(served(tmp_path, "--timeline", timeline))
        account = {"nick": "Ann", "password": PASSWORD, "register": True}
        ann, bob = Rich(process.address, account=account), Rich(process.address, "Bob")
        for peer in (ann, bob):
            servers.callback(peer.socket.close)
        session = ann.welcome["session"]
        said(bob, "one", "two")
        assert read(ann, 1) == (1, 1, 0)
        said(ann, "mine")
        said(bob, "ann: four", "five", "Ann!")
        process.signal(signal.SIGKILL)
        process.wait(30)
        again = servers.enter_context(served(tmp_path, "--timeline", timeline))
        with Rich(again.address, account={"session": session}) as ann:
            assert mark(ann) == (1, 4, 2)
