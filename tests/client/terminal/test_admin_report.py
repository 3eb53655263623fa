"""What an operator is told of an action."""

from geventchat.client.terminal.admin_report import report
from geventchat.protocol.events import Admin


def test_nodes_that_did_not_answer_are_the_last_line() -> None:
    note = "1 of 2 nodes did not answer within 2 seconds: it may be there."
    done = Admin(action="kick", rules=[], connections_closed=3, total=0, note=note)
    assert list(report(done)) == ["connections closed: 3", note]
