"""Requests about private rooms: making one, inviting, and what its moderators do.

What a request changes takes effect at once, is saved, and is only then told and answered; that is
completed even if the session ends meanwhile. A change that could not be saved stays in effect and
is told as well: it is written later, and asking again would change nothing and tell nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from msgspec.structs import replace

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.server.chat.account_rooms import REMOVED, invited, muted
from geventchat.server.chat.room import Member, Room
from geventchat.server.people.account import Account, Membership, now_ms
from geventchat.server.people.private import PrivateRoom
from geventchat.server.session.replay import enter
from geventchat.server.session.session import Session, Table
from geventchat.server.session.shield import shielded

_MOST_INVITATIONS: Final = 100
"""Invitations of one account that are not answered yet."""
_MOST_MEMBERS: Final = 1_000
"""Members of a private room, and those who are invited."""


def account_of(session: Session) -> Account:
    """Return the account of a session. Raises Refused `forbidden` for a guest."""
    if session.account is None:
        raise Refused("forbidden", "Only accounts can do that. Register or sign in first.")
    return session.account


def check_topic(session: Session, room: Room) -> None:
    """Raise Refused if a member may not set the topic of a room because it is private."""
    if room.private:
        private = session.hub.people.private[room.name]
        _check_moderator(private, account_of(session))


def repeat_invitations(session: Session, account: Account) -> None:
    """Tell a connection that signed in of the invitations of its account. Never waits."""
    for membership in account.memberships.values():
        if membership.is_invitation:
            session.answer(invited(membership))


def _create(session: Session, request: requests.Create) -> None:
    account, name = account_of(session), names.room(request.room)
    if names.is_conversation(name):
        text = f"Names that begin with {names.CONVERSATION} are for conversations."
        raise Refused("bad_room", text, room=name)
    session.policy.check_speech(session)  # others see the name, which could be a message
    hub, people = session.hub, session.hub.people
    with session.deciding(), session.timeline.opened(name):
        session.check()
        _check_free(session, name)
        hub.submissions.begin_room(session.timeline, session.limits, session, name)
        private = people.create_private(account, name, from_join=request.history == "joined")
        # On disk before anybody is in it: other nodes hear of members when they know what it is.
        shielded(partial(_save, session, private, private.members[account.id]))
        try:
            member = hub.join(session, name)
        except Refused:
            _undo(session, private)
            raise
    member.room.unused = False  # it is counted
    enter(session, member, None, request.id)


def _save(session: Session, private: PrivateRoom, membership: Membership) -> None:
    """Save a new room, which all connections of its account join. Raises Refused `storage`."""
    try:
        session.hub.people.save(private, membership)
    except Refused:
        _undo(session, private)
        raise
    session.hub.account_rooms.follow(membership.account, private.name)


def _undo(session: Session, private: PrivateRoom) -> None:
    """Take back a room that could not be made; that is saved later. Never waits."""
    people, memberships = session.hub.people, list(private.members.values())
    for membership in memberships:
        session.hub.account_rooms.leave_everywhere(
            membership.account, private.name, REMOVED, session
        )
    people.undo(private)
    people.records.note(private, *memberships)


def _check_free(session: Session, name: str) -> None:
    """Raise Refused if there ever was a room with this name, or an operator's rule about it."""
    hub, timeline, policy = session.hub, session.timeline, session.policy
    if (
        name == names.LOBBY
        or hub.is_used(name)
        or name in hub.people.private
        or hub.people.has_members(name)
        or hub.people.hooks.of(name)
        or hub.submissions.under_way(name)
        or timeline.position(name)
        or timeline.topic(name)
        or any(policy.rules.of_room(each, name, policy.clock()) for each in ("lock", "freeze"))
    ):
        text = f"The name {name} is taken. Choose another."
        raise Refused("forbidden", text, room=name)


def _invite(session: Session, request: requests.Invite) -> None:
    private = _private(session, request.room)
    session.policy.check_speech(session, private.name)  # an invitation names the room
    with session.deciding():
        session.check()
        membership = _invited_by(session, _private(session, request.room), request.nick)
    if not membership.ended:
        session.reply(invited(membership, request.id))


def _invited_by(session: Session, private: PrivateRoom, nick: str) -> Membership:
    """Return the invitation of an account, which is saved and told. Waits. Raises Refused."""
    account, other = account_of(session), session.hub.owners.find_account(nick)
    if other is None:
        text = f"There is no account {nick}. Only accounts can be invited."
        raise Refused("no_such_nick", text, room=private.name)
    membership = private.members.get(other.id)
    if membership is not None and membership.joined:
        raise Refused("forbidden", f"{other.nick} is in {private.name}.", room=private.name)
    if account.id in other.blocked:
        text = f"{other.nick} does not take invitations from you."
        raise Refused("forbidden", text, room=private.name)
    if membership is None:
        if sum(each.is_invitation for each in other.memberships.values()) >= _MOST_INVITATIONS:
            text = f"{other.nick} has {_MOST_INVITATIONS} invitations already."
            raise Refused("forbidden", text, room=private.name)
        if len(private.members) >= _MOST_MEMBERS:
            text = f"{private.name} has {_MOST_MEMBERS:,} members and invitations, the limit."
            raise Refused("forbidden", f"{text} Remove somebody first.", room=private.name)
        membership = session.hub.people.invite(other, private, session.nick)
        shielded(partial(_tell_invited, session, membership))
    return membership


def _tell_invited(session: Session, membership: Membership) -> None:
    try:
        session.hub.people.save(membership)
    finally:
        session.hub.account_rooms.tell_invited(membership)


def _remove(session: Session, request: requests.Remove) -> None:
    with _deciding(session, request.room) as private:
        membership = _member(session, private, request.nick)
        if membership.account is session.account:
            raise Refused("forbidden", f"Leave {private.name} yourself.", room=private.name)
        changed = session.hub.account_rooms.depart(membership, REMOVED)
        session.hub.people.save(*changed)
    nick = membership.account.nick
    session.reply(events.Removed(room=private.name, nick=nick, id=request.id))


def _moderator(session: Session, request: requests.Moderator) -> None:
    with _deciding(session, request.room) as private:
        membership = _joined_member(session, private, request.nick)
        if not request.on and [each for each in private.joined if each.moderator] == [membership]:
            text = f"{private.name} needs a moderator. Make somebody else one first."
            raise Refused("forbidden", text, room=private.name)
        membership.moderator = request.on
        shielded(partial(_tell_moderators, session, private, membership, request.id))


def _tell_moderators(
    session: Session, private: PrivateRoom, changed: Membership, request_id: str | None
) -> None:
    try:
        session.hub.people.save(changed)
        # The one who asked hears the answer and the announcement: another change may come between.
        session.answer(
            events.Moderators(room=private.name, moderators=private.moderators, id=request_id)
        )
    finally:
        session.hub.account_rooms.tell_moderators(private)


def _mute(session: Session, request: requests.Mute) -> None:
    if not request.on and request.seconds is not None:
        raise Refused("bad_field", "seconds: only a mute has a duration.")
    with _deciding(session, request.room) as private:
        membership = _joined_member(session, private, request.nick)
        membership.muted, membership.muted_by = None, session.nick
        if request.on:
            membership.muted = now_ms() + 1000 * request.seconds if request.seconds else 0
        shielded(partial(_tell_muted, session, membership, request.id))


def _tell_muted(session: Session, membership: Membership, request_id: str | None) -> None:
    event = muted(membership)
    try:
        session.hub.people.save(membership)
        session.answer(replace(event, id=request_id))
    finally:
        session.hub.account_rooms.tell_muted(membership, event)  # to who asked as well, as above


def _private(session: Session, name: str) -> PrivateRoom:
    """Return a private room that a session is in. Raises Refused."""
    member: Member = session.member(name)
    private = session.hub.people.private.get(member.room.name)
    if private is None or private.between:
        name = member.room.name
        raise Refused("forbidden", f"{name} is not a private room.", room=name)
    return private


@contextmanager
def _deciding(session: Session, name: str) -> Iterator[PrivateRoom]:
    """Decide about a private room that the account of a session moderates. Waits.

    Raises Refused, Ending.
    """
    _check_moderator(_private(session, name), account_of(session))
    with session.deciding():
        session.check()
        private = _private(session, name)
        _check_moderator(private, account_of(session))
        yield private


def _check_moderator(private: PrivateRoom, account: Account) -> None:
    membership = private.members.get(account.id)
    if membership is None or not membership.moderator:
        name = private.name
        text = f"Only moderators of {name} may do that."
        if private.between:
            text = "A conversation has no topic."
        raise Refused("forbidden", text, room=name)


def _member(session: Session, private: PrivateRoom, nick: str) -> Membership:
    """Return the membership, or invitation, of an account. Raises Refused `no_such_nick`."""
    account = session.hub.owners.find_account(nick)
    membership = private.members.get(account.id) if account is not None else None
    if membership is None:
        text = f"{nick} is not in {private.name}."
        raise Refused("no_such_nick", text, room=private.name)
    return membership


def _joined_member(session: Session, private: PrivateRoom, nick: str) -> Membership:
    membership = _member(session, private, nick)
    if not membership.joined:
        text = f"{membership.account.nick} has not joined {private.name} yet."
        raise Refused("no_such_nick", text, room=private.name)
    return membership


TABLE: Final[Table] = {
    requests.Create: _create,
    requests.Invite: _invite,
    requests.Remove: _remove,
    requests.Moderator: _moderator,
    requests.Mute: _mute,
}
