"""Who gets in by the web door: the limits of the chat port, and pages cost less than members."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.server import admission
from tests.conversations.control import beside
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Plain, Rich, of
from tests.conversations.web import Raw, WebChat, handshake, request, say, text, web_chatting

STRANGER = "127.0.0.9"
NOBODY: dict[str, Any] = {"trust": ()}
HELLO = {"type": "hello", "version": 1, "client": "client-that-asks-to-come-in"}


def wait_connections(web: WebChat, number: int) -> None:
    """Wait until no more than that many connections are left."""
    with gevent.Timeout(20):
        while len(web.server._admission.readers) > number:
            gevent.sleep(0.001)


def visit(web: WebChat, source: str = STRANGER) -> int:
    """Load the page from an address, and hang up; return the status."""
    with Raw(web.web_address, source=source) as browser:
        return browser.ask(request(Connection="close")).status


def bye(web: WebChat, source: str = "127.0.0.1", **fields: Any) -> tuple[str | None, int | None]:
    """Say hello from an address; return the code of the bye and of the Close."""
    with Raw(web.web_address, source=source) as peer:
        peer.upgrade()
        peer.send(text({**HELLO, **fields}))
        ending = peer.ending()
        return ending.bye, ending.code


def test_pages_cost_a_tenth_of_an_arrival() -> None:
    with web_chatting(options=NOBODY, arrivals_per_minute=2) as web:
        assert [visit(web) for _ in range(10)] == [200] * 10  # one arrival
        assert bye(web, STRANGER) == ("full", 1013)  # this visit leaves less than another one
        assert [visit(web) for _ in range(9)] == [200] * 9
        assert visit(web) == 503
        assert visit(web, "127.0.0.8") == 200
        assert set(web.server.rejections.counts) == {"arrivals"}


def test_connections_of_an_address_are_counted_over_both_doors() -> None:
    with web_chatting(options=NOBODY, connections_per_address=2) as web:
        member = web.track(Raw(web.web_address, source=STRANGER))
        member.hello()
        rich = web.track(Rich(web.address, source=STRANGER))
        assert visit(web) == 503
        (line,) = web.track(Plain(web.address, source=STRANGER)).rest()
        assert b"Too many connections from your address" in line
        assert visit(web, "127.0.0.8") == 200
        rich.socket.close()
        wait_connections(web, 1)
        assert visit(web) == 200
        assert web.server.rejections.counts == {"address": 2}


def test_a_visit_gives_its_place_back_however_it_ends() -> None:
    with web_chatting(options=NOBODY, connections_per_address=1) as web:
        for number in range(8):
            peer = Raw(web.web_address, source=STRANGER)
            if number % 4 == 1:
                peer.send(b"GET / HT")
            elif number % 4 == 2:
                assert peer.ask(b"nonsense\r\n\r\n").status == 400
            elif number % 4 == 3:
                peer.hello()
            peer.socket.close()
            wait_connections(web, 0)
        assert web.server._policy.limiter._inside == {}


def test_a_full_server_shows_the_page_to_few_and_lets_in_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with web_chatting() as web, beside(web.address) as bystanders:
        web.server._admission.max_connections = 4
        assert visit(web) == 200
        assert bye(web) == ("full", 1013)
        monkeypatch.setattr(admission, "REJECT_SECONDS", 600.0)  # while 40 connect
        few, others = [web.raw() for _ in range(16)], [web.raw() for _ in range(24)]
        seen = {peer.remains().partition(b"\r\n")[0] for peer in others}
        assert seen == {b"HTTP/1.1 503 Service Unavailable"}
        assert {peer.ask(request(Connection="close")).status for peer in few} == {200}
        bystanders.check_heard()
    assert web.server._admission._operator_slots.total() == 0


def test_an_operator_gets_into_a_full_server(options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        web.rich("Ann")
        web.server._admission.max_connections = 1
        browser = web.raw()
        assert browser.ask(request()).status == 200
        browser.upgrade()
        browser.send(text({**HELLO, "nick": "Olga", "token": TOKEN}))
        assert browser.event()["nick"] == "Olga"
        browser.barrier()
        browser.send(text({"type": "admin", "action": "kick", "target": "Ann", "id": "k"}))
        events = browser.barrier()
        assert of("admin", events)[0]["connections_closed"] == 1


def test_a_banned_address_hears_why(options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        olga = web.rich("Olga", token=TOKEN)
        eve = Raw(web.web_address, source=STRANGER)
        web.track(eve).hello(nick="Eve")
        answer = olga.ask("admin", action="ban", target=STRANGER, reason="spam")
        assert answer["connections_closed"] == 1
        ending = eve.ending()
        assert (ending.bye, ending.code, ending.reason) == ("banned", 4003, "banned")
        assert "spam" in ending.events[-1]["text"]
        assert bye(web, STRANGER) == ("banned", 4003)
        assert bye(web, STRANGER, token="a-token-that-is-wrong") == ("banned", 4003)
        web.track(Raw(web.web_address, source="127.0.0.8")).hello()


def test_a_kick_ends_with_its_own_code(options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        olga = web.rich("Olga", token=TOKEN)
        eve = web.member(nick="Eve")
        olga.ask("admin", action="kick", target="Eve")
        ending = eve.ending()
        assert (ending.bye, ending.code) == ("kicked", 4002)


@pytest.mark.parametrize(
    ("password", "expected"),
    [("sesame", None), ("wrong", ("password", 4004)), (None, ("password", 4004))],
)
def test_a_password_is_asked_for(password: str | None, expected: tuple[str, int] | None) -> None:
    with web_chatting(options={"password": "sesame"}) as web:
        assert visit(web) == 200
        if expected is None:
            assert web.raw().hello(password=password)[0]["type"] == "welcome"
        else:
            assert bye(web, password=password) == expected


def test_a_closed_server_lets_in_only_who_was_there(options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        olga = web.rich("Olga", token=TOKEN)
        ann = web.raw()
        ann.hello(client="client-that-was-there", nick="Ann")
        olga.ask("admin", action="close")
        assert bye(web) == ("full", 1013)
        again = web.raw()
        again.hello(client="client-that-was-there")
        ending = ann.ending()
        assert (ending.bye, ending.code) == ("replaced", 4001)


def test_the_frame_limit_the_hosts_and_the_origins_can_be_changed(web: WebChat) -> None:
    config = web.server._config
    assert web.raw().ask(handshake(Host="chat.example")).status == 421
    limits = replace(config.limits, frame_bytes=200)
    changed = replace(
        config, web_host=("chat.example",), web_origin=("https://app.example",), limits=limits
    )
    member = web.member()
    assert web.server.reload(changed) == []
    web.raw().upgrade(Host="chat.example", Origin="https://app.example")
    later = web.member()
    for peer in (member, later):
        peer.send(text(say("x" * 300)))
    assert later.ending().code == 1009
    assert member.barrier()[-1]["text"] == "x" * 300
    web.server.reload(config)
    assert web.raw().ask(handshake(Host="chat.example")).status == 421


def test_the_address_of_the_door_takes_a_restart(web: WebChat) -> None:
    changed = replace(web.server._config, web="127.0.0.1:1")
    assert "web" in " ".join(web.server.reload(changed))


def test_a_shutdown_ends_members_visits_and_handshakes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with web_chatting(timeline=f"sqlite:{tmp_path}/chat.db") as web:
        member, mute, silent, idle = web.member(), web.raw(), web.raw(), web.raw()
        mute.upgrade()
        assert idle.ask(request()).status == 200
        member.send(b"".join(text(say(str(number), key=f"k{number}")) for number in range(30)))
        stopping = gevent.spawn(web.server.stop)
        ending = member.ending()
        assert [post["text"] for post in of("post", ending.events)] == list(map(str, range(30)))
        assert (ending.bye, ending.code, ending.reason) == ("shutdown", 1001, "shutdown")
        assert ending.events[-1]["after_ms"] > 0
        member.socket.close()
        ending = mute.ending()
        assert (ending.bye, ending.code) == ("shutdown", 1001)
        mute.socket.close()
        assert [peer.remains() for peer in (silent, idle)] == [b"", b""]
        assert stopping.get(timeout=20)
        web._stopped = True
    assert web.server.rejections.counts == {}
