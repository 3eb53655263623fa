"""What operators do with accounts."""

import heapq
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import PASSWORD_CHANGED, REMOVED, Refused
from geventchat.server.access.policy import audit
from geventchat.server.people.account import Account
from geventchat.server.session.accounts import end_connections
from geventchat.server.session.reach import connections
from geventchat.server.session.session import Session, Table
from geventchat.server.slices import in_slices

_PAGE: Final = 100


def _accounts(session: Session, request: requests.Accounts) -> None:
    if request.token is not None or not session.operator:
        session.policy.authenticate_operator(session, request.token, "accounts")
    if request.action == "list":
        session.reply(_page(session, request))
        return
    if request.nick is None:
        raise Refused("bad_field", f"nick: {request.action} needs one.")
    if request.action == "remove":
        account = _remove(session, request.nick)
    elif request.password is None:
        raise Refused("bad_field", f"password: {request.action} needs one.")
    elif request.action == "add":
        account = _add(session, request.nick, request.password)
        audit(session, "account add", target=account.nick)
    else:
        account = _set_password(session, request.nick, request.password)
    session.reply(events.Accounts(accounts=_shown(session, [account]), id=request.id))


def _page(session: Session, request: requests.Accounts) -> events.Accounts:
    session.yield_if_busy()
    after = names.fold(request.nick or "")
    found = heapq.nsmallest(
        _PAGE + 1,
        (
            (folded, account)
            for account in in_slices(session.hub.people.accounts.values())
            if not account.removed and (folded := names.fold(account.nick)) > after
        ),
        key=itemgetter(0),
    )
    page = _shown(session, [account for _, account in found[:_PAGE]])
    following = page[-1].nick if len(found) > _PAGE else None
    return events.Accounts(accounts=page, next=following, id=request.id)


def _add(session: Session, nick: str, password: str) -> Account:
    hub, people = session.hub, session.hub.people
    kept = people.passwords.hash(password)
    with session.deciding():
        session.check()
        nick = hub.owners.check_new(nick)
        with session.reserving(nick):
            account = hub.owners.create_account(nick, kept)
            membership = people.join(account, names.LOBBY)
            try:
                people.save(account, membership)
            except Refused:
                hub.owners.discard(account)
                raise
    return account


def _set_password(session: Session, nick: str, password: str) -> Account:
    account, people = _named(session, nick), session.hub.people
    kept = people.passwords.hash(password)
    with session.deciding():
        session.check()
        if account.removed:  # meanwhile
            raise _no_account(account.nick)
        account.password = kept
        ended = people.end(account, rooms=False)
        end_connections(session, account, PASSWORD_CHANGED)
        audit(session, "account password", target=account.nick)  # also if it is written later
        people.save(account, *ended)
    return account


def _remove(session: Session, nick: str) -> Account:
    hub, people = session.hub, session.hub.people
    _named(session, nick)
    with session.deciding():
        session.check()
        account = _named(session, nick)
        end_connections(session, account, REMOVED)
        hub.expel(account)
        moderated = [
            people.private[room]
            for room, membership in account.memberships.items()
            if membership.moderator
        ]
        changed = people.remove(account)
        for private in moderated:
            hub.account_rooms.tell_moderators(private)
        audit(session, "account remove", target=account.nick)  # also if it is written later
        people.save(*changed)
    return account


def _named(session: Session, nick: str) -> Account:
    """Return the account with a nick. Raises Refused `no_such_nick`."""
    account = session.hub.owners.find_account(nick)
    if account is None or names.fold(account.nick) != names.fold(nick):
        raise _no_account(nick)
    return account


def _no_account(nick: str) -> Refused:
    return Refused("no_such_nick", f"There is no account {nick}.")


def _shown(session: Session, accounts: Sequence[Account]) -> list[events.Account]:
    connected = connections(session.hub, accounts)
    return [
        events.Account(
            nick=account.nick,
            account=account.id,
            created=account.created,
            connections=connected[account.id].total(),
        )
        for account in accounts
    ]


TABLE: Final[Table] = {requests.Accounts: _accounts}
