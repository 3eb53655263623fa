"""Requests about accounts: signing in, registering, and logins."""

from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import (
    ACCOUNT,
    BANNED,
    PASSWORD_CHANGED,
    REMOVED,
    REVOKED,
    SHUTDOWN,
    Ending,
    Reason,
    Refused,
)
from geventchat.server.access.policy import SIGN_INS_SPENT
from geventchat.server.people.account import Account, now_ms
from geventchat.server.people.login import Login
from geventchat.server.people.records import Kept
from geventchat.server.session.reach import connections
from geventchat.server.session.session import Session, Table

_CHANGE_COST: Final = 20 * 256
"""What a change of a password counts against the rate limit, in members reached: 20 messages.

It takes two turns of the thread in which all others sign in.
"""
_ASKING_COST: Final = 256
"""What a question to all other nodes counts: a message."""


# Hello


def sign_in(session: Session, asked: requests.SignIn, client: bytes) -> tuple[Login, str | None]:
    """Sign in, or register, as hello asks; return the login, and its token if that is new.

    The login may have been ended meanwhile, which the hub checks. Waits. Raises Ending `account`.
    """
    outcomes = session.hub.people.sign_ins
    try:
        way, login, token = _signed_in(session, asked, client)
        _check_ban(session, login.account)
    except Refused as refusal:
        outcomes["busy" if refusal.code == "slow_down" else "refused"] += 1
        raise Ending(replace(ACCOUNT, text=refusal.text)) from None
    except Ending as ending:
        outcomes[_outcome(ending.reason)] += 1
        raise
    outcomes[way] += 1
    return login, token


@contextmanager
def storing() -> Iterator[None]:
    """Have a client come back later that cannot be admitted now, as the store is away."""
    try:
        yield
    except Refused as refused:
        raise Ending(replace(SHUTDOWN, text=refused.text)) from None


def _signed_in(
    session: Session, asked: requests.SignIn, client: bytes
) -> tuple[str, Login, str | None]:
    """Return in what way it signed in, the login, and its token if that is new."""
    if asked.session is not None:
        login = session.hub.people.logins.of_token(asked.session)
        if login is None and not session.timeline.nodes.alone:
            with storing():
                session.timeline.nodes.catch_up()  # it may have begun on another one just now
            login = session.hub.people.logins.of_token(asked.session)
        if login is None:
            raise Ending(ACCOUNT)
        return "session", login, None
    if asked.nick is None or asked.password is None:
        raise Ending(replace(ACCOUNT, text="Sign in with a nick and a password, or a session."))
    if asked.register:
        return "registered", *_make(session, asked.nick, asked.password, asked.device, client)
    return "password", *_sign_in_with_password(session, asked.nick, asked.password, asked.device)


def _outcome(reason: Reason) -> str:
    """Return how a sign-in that failed is counted."""
    if reason is SIGN_INS_SPENT:
        return "limited"
    if reason.code == SHUTDOWN.code:
        return "refused"
    return "banned" if reason.code == BANNED.code else "wrong"


def _sign_in_with_password(
    session: Session, nick: str, password: str, device: str | None
) -> tuple[Login, str]:
    with storing():
        session.timeline.nodes.catch_up()  # it may have been made on another one just now
    account = session.hub.owners.find_account(nick)
    if account is not None and names.fold(account.nick) != names.fold(nick):
        account = None  # a former nick
    _check_password(session, nick, account, password)
    assert account is not None
    _check_ban(session, account)
    kept, in_use = account.password, Counter[str]()
    if session.hub.people.logins.is_crowded(account):
        in_use = connections(session.hub, [account])[account.id]
    with session.deciding():
        if account.removed or account.password != kept:  # meanwhile
            raise Ending(ACCOUNT)
        login, token, changed = _log_in(session, account, device, in_use)
        session.hub.people.save(*changed)
    return login, token


def _log_in(
    session: Session, account: Account, device: str | None, in_use: Container[str]
) -> tuple[Login, str, list[Kept]]:
    """Begin a login on a device; return it, its token, and what the caller saves.

    One that has to give way for it is ended, and its connections with it; first those that are
    not `in_use`, by their ids.
    """
    logins = [each for each in session.hub.people.logins.of(account) if each.id in in_use]
    login, token, changed = session.hub.people.logins.begin(account, device, logins)
    for other in session.hub.devices.connected(account):
        if other.login in changed:
            other.end(REVOKED)
    return login, token, changed


def _check_password(session: Session, nick: str, account: Account | None, password: str) -> None:
    """Raise Ending if a password is not that of an account; as slowly if there is none. Waits."""
    check = partial(session.policy.check_sign_in, session, nick)
    check()
    kept = account.password if account is not None else None
    # Checked again in its turn, or as many could be tried as fit into the queue.
    if not session.hub.people.passwords.matches(password, kept, check):
        session.policy.count_sign_in(session, nick)
        raise Ending(ACCOUNT)
    if account is None or account.removed or account.password != kept:  # meanwhile
        raise Ending(ACCOUNT)


def _check_ban(session: Session, account: Account) -> None:
    if not session.operator:
        session.policy.check_account(account)


def _make(
    session: Session, nick: str, password: str, device: str | None, client: bytes
) -> tuple[Login, str]:
    """Make an account in the lobby, with a login. Waits. Raises Refused."""
    if len(password) < requests.MIN_PASSWORD:
        raise Refused("bad_field", f"A password has at least {requests.MIN_PASSWORD} characters.")
    session.policy.check_nick(session, nick)
    session.policy.check_registration(session)
    hub, people = session.hub, session.hub.people
    kept = people.passwords.hash(password)
    with session.deciding():
        nick = hub.owners.check_new(nick, client)
        with session.reserving(nick, client):
            session.policy.check_nick_ban(session, nick)  # made while this waited
            account = hub.owners.create_account(nick, kept, client)
            membership = people.join(account, names.LOBBY)
            login, token, changed = people.logins.begin(account, device)
            try:
                people.save(account, membership, *changed)
            except Refused:
                hub.owners.discard(account, client)
                raise
    return login, token


# Requests


def _register(session: Session, request: requests.Register) -> None:
    if session.account is not None:
        raise Refused("forbidden", f"You are signed in as {session.nick} already.")
    session.policy.check_nick(session, request.nick)
    session.policy.check_registration(session)
    hub, people = session.hub, session.hub.people
    kept = people.passwords.hash(request.password)
    with session.deciding():
        former, nick = session.nick, session.rename(request.nick)
        with session.reserving(nick, session.client):
            account = people.create(nick, kept)
            memberships = hub.owners.adopt(session, account)
            session.login, token, changed = people.logins.begin(account, request.device)
            try:
                people.save(account, *memberships, *changed)
            except Refused:
                hub.owners.disown(session, account)
                if nick != former:  # others have heard that already
                    session.answer(events.Renamed(nick=nick))
                raise
    session.policy.refresh_mute(session)
    session.reply(
        events.SignedIn(nick=account.nick, account=account.id, session=token, id=request.id)
    )


def _change_password(session: Session, request: requests.ChangePassword) -> None:
    account, people = _account(session), session.hub.people
    session.charge(_CHANGE_COST)
    try:
        _check_password(session, account.nick, account, request.password)
    except Ending as ending:
        session.check()  # it may be the session's own, as after a kick
        raise Refused("forbidden", ending.reason.text.replace("nick, ", "")) from None
    kept = people.passwords.hash(request.new_password)
    with session.deciding():
        session.check()
        if account.removed:
            raise Ending(REMOVED)
        account.password = kept
        ended = people.end(account, rooms=False)
        end_connections(session, account, PASSWORD_CHANGED, keep=session)
        device = session.login.device if session.login is not None else None
        session.login, token, changed = people.logins.begin(account, device)
        try:
            people.save(account, *ended, *changed)
        except Refused:  # it holds, and is written later
            session.answer(events.SignedIn(nick=account.nick, account=account.id, session=token))
            raise
    session.reply(
        events.SignedIn(nick=account.nick, account=account.id, session=token, id=request.id)
    )


def _sessions(session: Session, request: requests.Sessions) -> None:
    if session.timeline.nodes.others:
        session.charge(_ASKING_COST)
    session.reply(_listed(session, _account(session), request.id))


def _revoke(session: Session, request: requests.Revoke) -> None:
    account, people = _account(session), session.hub.people
    with session.deciding():
        session.check()
        logins = people.logins.of(account)
        login = next((each for each in logins if each.id == request.session), None)
        if login is None:
            raise Refused("bad_field", "session: There is no such session.")
        people.logins.end(login)
        own = login is session.login
        for other in session.hub.devices.connected(account):
            if other.login is login and other is not session:
                other.end(REVOKED)
        try:
            people.save(login)
        except Refused:
            if own:  # also if the disk fails: it is revoked
                session.end(REVOKED)
            raise
    try:
        session.reply(_listed(session, account, request.id))
    finally:
        if own:
            session.end(REVOKED)


def _account(session: Session) -> Account:
    """Return the account of a session. Raises Refused."""
    if session.account is None:
        raise Refused("forbidden", "You are not signed in. Register, or sign in first.")
    return session.account


def _listed(session: Session, account: Account, request_id: str | None) -> events.Sessions:
    now = now_ms()
    connected = connections(session.hub, [account])[account.id]
    return events.Sessions(
        sessions=[
            events.Session(
                id=login.id,
                created=login.created,
                used=login.used,
                device=login.device,
                connections=connected[login.id],
                current=login is session.login,
            )
            for login in session.hub.people.logins.of(account)
            if login.id in connected or not login.is_void(now)
        ],
        id=request_id,
    )


def end_connections(
    session: Session, account: Account, reason: Reason, keep: Session | None = None
) -> None:
    """End the connections of an account but one."""
    for other in session.hub.devices.connected(account):
        if other is not keep:
            other.end(reason)


TABLE: Final[Table] = {
    requests.Register: _register,
    requests.ChangePassword: _change_password,
    requests.Sessions: _sessions,
    requests.Revoke: _revoke,
}
