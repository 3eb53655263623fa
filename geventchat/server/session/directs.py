"""Requests about direct messages and conversations."""

import time
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Person
from geventchat.server.access.rate_limits import origin
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Member
from geventchat.server.people.account import Account
from geventchat.server.people.private import PrivateRoom
from geventchat.server.session.places import Place, place
from geventchat.server.session.private_rooms import account_of
from geventchat.server.session.replay import enter, joined, put_in_set
from geventchat.server.session.session import Session, Table
from geventchat.server.session.shield import shielded
from geventchat.server.timeline.nodes import Directed

_LISTED: Final = 50
"""Conversations on a page, unless the client says how many."""
_PER_HOUR: Final = 60
"""New conversations of an account, and of an address."""
_AGAIN_MS: Final = 60_000
"""After that time there is room for one more."""
_MOST_OPENED: Final = 100
"""Conversations that open by themselves after hello, the latest,"""
_MOST_LOOKED_AT: Final = 1_000
"""among so many of the latest: an account may have any number, and each hello looks at them."""
_MOST_BLOCKED: Final = 1_000


def open_unread(session: Session, account: Account) -> None:
    """Have a connection that signed in join the conversations with something unread.

    Never waits.
    """
    latest = islice(session.hub.people.conversations.latest(account), _MOST_LOOKED_AT)
    unread = (each for each in latest if _is_open(each, account) and _unread(each, account))
    for conversation in islice(unread, _MOST_OPENED):
        session.to_follow[conversation.name] = None


def _direct(session: Session, request: requests.Direct) -> None:
    session.policy.check_speech(session)
    account, other = session.account, session.hub.owners.find_account(request.to)
    if account is None or other is None or other is account:
        _send_live(session, request, other)
        return
    conversation = _conversation(session, account, other)
    member = session.rooms.get(conversation.name) or _open(session, account, conversation)
    session.submit(member, request.text, request.key, request.id, to=other.nick)


def _send_live(session: Session, request: requests.Direct, other: Account | None) -> None:
    """Send a text to a guest, or from one, on all connections of who receives it.

    Waits up to 2 s for other nodes if nobody here has the nick.
    """
    account, questions = session.account, session.hub.questions
    number = account.id if account is not None else None
    direct = request.to, session.nick, request.text, int(time.time() * 1000), number
    to = receive(session.hub, Directed(0, *direct))
    if to is None:
        answers = questions.direct(*direct)
        to = next((nick.decode() for nick in answers.contents.values() if nick), None)
        if to is None:
            note = questions.note(answers.silent, "your message may have arrived there.")
            text = f"{request.to} is not online."
            raise Refused("no_such_nick", f"{text} {note}" if note is not None else text)
    elif other is not None:
        questions.direct_too(*direct)
    session.reply(events.Sent(to=to, stored=False, id=request.id))


def receive(hub: Hub, direct: Directed) -> str | None:
    """Pass a text that is not stored to who has a nick on this node, on all connections.

    Returns the nick as it is spelled; None: nobody has it here. Never waits.
    """
    account = hub.owners.find_account(direct.to)
    recipients = hub.devices.connected(account) if account is not None else []
    if account is None:
        with suppress(Refused):
            recipients = [hub.owners.find_rich(direct.to)]
    if not recipients:
        return None
    event = events.Direct(
        author=direct.author, text=direct.text, time=direct.time, account=direct.account
    )
    for recipient in recipients:
        recipient.answer(event)
    return recipients[0].nick


def _open_with(session: Session, request: requests.Open) -> None:
    """Handle `open`."""
    account, other = account_of(session), session.hub.owners.find_account(request.with_)
    if other is None or other is account:
        raise Refused("no_such_nick", f"There is no other account {request.with_}.")
    session.policy.check_speech(session)
    conversation = _conversation(session, account, other)
    member = session.rooms.get(conversation.name)
    if member is None:
        _open(session, account, conversation, request.id)
    else:
        session.reply(joined(session, member.room, None, request.id), member)


def _conversation(session: Session, account: Account, other: Account) -> PrivateRoom:
    """Return the conversation of two accounts, which begins if there is none. May wait.

    Raises Refused `forbidden`, `slow_down` and `storage`.
    """
    if account.id in other.blocked:
        raise Refused("forbidden", f"{other.nick} does not take messages from you.")
    people = session.hub.people
    conversation = people.conversations.between(account, other)
    if conversation is None:
        _count(session, account)
    if conversation is not None and conversation.stored:
        return conversation
    with session.deciding():
        session.check()
        conversation = people.conversations.between(account, other)
        if conversation is None:
            if other.removed or other.discarded:  # meanwhile
                raise Refused("no_such_nick", f"There is no other account {other.nick}.")
            conversation = people.converse(account, other)
        if not conversation.stored:  # or a kill could leave posts that belong to nobody
            people.save(conversation, *conversation.members.values())
            conversation.stored = True
    return conversation


def _count(session: Session, account: Account) -> None:
    """Count a new conversation. Raises Refused `slow_down`."""
    begun, now = session.hub.conversations_begun, time.monotonic()
    if begun.acquire(account.id, _PER_HOUR, now):
        if session.pace is None or begun.acquire(origin(session.address), _PER_HOUR, now):
            return
        begun.refund(account.id, _PER_HOUR)
    text = f"That is the limit of {_PER_HOUR} new conversations an hour. Try again in a minute."
    raise Refused("slow_down", text, retry_ms=_AGAIN_MS)


def _open(
    session: Session, account: Account, conversation: PrivateRoom, request_id: str | None = None
) -> Member:
    """Open a conversation on all connections of an account. Waits."""
    member = session.hub.join(session, conversation.name)
    put_in_set(session, account, member)
    enter(session, member, session.cursors.get(conversation.name), request_id)
    return member


def _conversations(session: Session, request: requests.Conversations) -> None:
    session.yield_if_busy()
    account, limit = account_of(session), request.limit or _LISTED
    last = place(request.after) if request.after is not None else None
    after = (last.number, last.name) if last is not None else None
    latest = session.hub.people.conversations.latest(account, after)
    page = list(islice(latest, limit + 1))
    following = None
    if len(page) > limit:
        following = Place(page[limit - 1].active, page[limit - 1].name).cursor
    session.charge(len(page))
    session.reply(
        events.Conversations(
            conversations=[_shown(each, account) for each in page[:limit]],
            next=following,
            id=request.id,
        )
    )


def _shown(conversation: PrivateRoom, account: Account) -> events.Conversation:
    membership = conversation.members[account.id]
    assert membership.other is not None
    return events.Conversation(
        room=conversation.name,
        with_=membership.other.person,
        position=conversation.newest,
        read=membership.read,
        unread=_unread(conversation, account),
        closed=not membership.joined,
    )


def _is_open(conversation: PrivateRoom, account: Account) -> bool:
    return conversation.members[account.id].joined


def _unread(conversation: PrivateRoom, account: Account) -> int:
    return conversation.members[account.id].mark(1, conversation.newest).unread


def _block(session: Session, request: requests.Block) -> None:
    account, people = account_of(session), session.hub.people
    with session.deciding():
        session.check()
        blocked = account.blocked
        if request.on:
            other = session.hub.owners.find_account(request.nick)
            if other is None or other is account:
                text = f"There is no other account {request.nick}; only accounts can be blocked."
                raise Refused("no_such_nick", text)
            if other.id not in blocked and len(blocked) >= _MOST_BLOCKED:
                raise Refused("forbidden", f"You have blocked {_MOST_BLOCKED:,} accounts already.")
            blocked[other.id] = None
        else:
            number = _blocked_id(session, account, request.nick)
            if number is not None:
                del blocked[number]
        shielded(partial(people.save, account))
    persons = [each.person for each in map(people.accounts.get, blocked) if each is not None]
    session.reply(events.Blocked(blocked=persons, id=request.id))


def _blocked_id(session: Session, account: Account, nick: str) -> str | None:
    """Return the id of a blocked account with a nick, even if it was removed meanwhile."""
    other = session.hub.owners.find_account(nick)
    if other is not None and other.id in account.blocked:
        return other.id
    accounts, folded = session.hub.people.accounts, names.fold(nick)
    same: list[Person] = [accounts[each].person for each in account.blocked if each in accounts]
    return next((each.account for each in same if names.fold(each.nick) == folded), None)


TABLE: Final[Table] = {
    requests.Direct: _direct,
    requests.Open: _open_with,
    requests.Conversations: _conversations,
    requests.Block: _block,
}
