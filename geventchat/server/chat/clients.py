"""Clients: who is connected, and under which nick; who may come back.

All of it changes only in stretches that never switch. Here it is decided when joins and leaves are
announced: a lost connection not while the nick is held for its client, a plain guest only when it
has spoken or stayed a second. The log does not mention one before that either.
"""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from geventchat.config import Limits
from geventchat.protocol import names
from geventchat.protocol.errors import ACCOUNT, REPLACED, Ending, Reason, Refused
from geventchat.server.chat.away import Away
from geventchat.server.chat.devices import Device
from geventchat.server.chat.heard_presence import HeardPresence
from geventchat.server.chat.memberships import Memberships
from geventchat.server.chat.room import Member, Room
from geventchat.server.logs.console import Console
from geventchat.server.participant import Participant
from geventchat.server.people.account import MOST_FORMER, Account
from geventchat.server.people.login import Login
from geventchat.server.wire import Form

_NEWCOMER_SECONDS: Final = 1.0
"""How long a silent plain guest stays unannounced."""


class Clients(Memberships):
    """The part of the hub that adds, authenticates, renames and removes. Nothing here waits."""

    def __init__(self, limits: Limits, console: Console) -> None:
        super().__init__(limits, console)
        self.opens: Counter[str] = Counter()
        """Sessions that began, by door."""
        self.closes: Counter[str] = Counter()
        """Sessions that ended, by reason."""
        self._heard: HeardPresence | None = None
        """None: there is only this node."""
        self.moved: dict[bytes, Away] = {}
        """Clients that another node has now, with rooms that they may not have rejoined there."""

    def add(self, participant: Participant) -> dict[str, Member]:
        """Add a participant as a guest in the lobby; return its memberships, which stay current.

        One that is locked out is a member of nothing until it is authenticated.
        """
        rooms = self.sessions[participant] = {}
        self.opens[participant.door] += 1
        participant.nick = self.owners.nicks.guest()
        if participant.locked_out is None:
            member = self._add(participant, self._enter(participant, names.LOBBY))
            self.go_live(member)
            self._newcomers[member] = time.monotonic() + _NEWCOMER_SECONDS
        return rooms

    def authenticate(
        self,
        participant: Participant,
        client: bytes,
        form: Form,
        login: Login | None = None,
        nick: str | None = None,
    ) -> None:
        """Make a participant rich: as its account, or as a known client with the nick held for it.

        The client's former connection, if it has one, is ended. From here on whoever ends a login
        finds its connection. `nick` is what it is to be called by the claims of all nodes, as a
        guest. Raises Ending, `account` if the login was ended before.
        """
        participant.check()
        account = login.account if login is not None else None
        if login is not None and (login.ended or login.account.removed):  # while it signed in
            raise Ending(ACCOUNT)
        participant.locked_out = None
        if not self._introduced(participant):
            self._console.connected(participant.nick, participant.address, len(self.sessions))
        for member in list(self.sessions[participant].values()):
            self._remove(member)
        participant.form = form
        participant.client = client
        former = self.owners.clients.get(client)
        if former is not None and not isinstance(former, Away):
            former.end(REPLACED)
            former = self._drop(former)
        if former is not None and (
            former.account is not account
            # The client is registering with this nick on another connection.
            or (account is None and self.owners.find_account(former.nick) is not None)
            # Others have taken the nick, as this node's claims were lost.
            or (nick == participant.nick != former.nick)
        ):
            self._forget(former)  # neither of the two goes on as the other
            former = None
        moved = self.moved.pop(client, None)
        if moved is not None:
            self.devices.remove(moved)
            if former is None and moved.account is account and moved.nick == (nick or moved.nick):
                self.absent[participant] = moved.rooms
            else:
                self._stays_away(moved)
        self.owners.clients[client] = participant
        participant.account, participant.login = account, login
        if former is not None:
            self.devices.remove(former)
        if account is not None:
            self.devices.add(participant)
            nick = account.nick
        if former is not None:
            nick = former.nick
            self.absent[participant] = former.rooms
            if participant.pace is not None and former.pace is not None:
                participant.pace.go_on(former.pace)
        if nick is not None and nick != participant.nick:
            self._console.renamed(participant.nick, nick)
            participant.nick = nick
        if account is None:
            self.owners.nicks.give(participant.nick, participant)
        if self._heard is not None:
            self._heard.begin_resume(participant)

    def finish_resume(self, participant: Participant) -> None:
        """Announce that a returning client has left the rooms it did not rejoin."""
        for room in self.absent.pop(participant, ()):
            self.stays_away(room, participant)
        if self._heard is not None:
            self._heard.finish_resume(participant)
        self.delivery.work()

    def remove(self, participant: Participant, reason: Reason) -> None:
        """Remove a participant; if it may reconnect, its nick is held for its client."""
        memberships = self.sessions.get(participant, {})
        introduced = self._introduced(participant)
        if participant.login is not None:
            self.people.logins.note_used(participant.login)
        self.closes[reason.code] += 1
        if not reason.reconnect:
            self.finish_resume(participant)
        if self.owners.clients.get(participant.client) is participant:
            away = self._drop(participant)
            away.until = time.monotonic() + self.limits.nick_hold_seconds
            self.owners.clients[participant.client] = away
            self._tell_hold(away, self.limits.nick_hold_seconds)
            if away.account is None:
                self.owners.hold(away)
            else:
                self.devices.add(away)
            if not reason.reconnect:
                self._leave(away)
        for member in list(memberships.values()):
            self._remove(member)
        self.sessions.pop(participant, None)
        self.absent.pop(participant, None)
        if introduced:
            self._console.disconnected(participant.nick, reason.code, len(self.sessions))
        else:  # it was never announced: a health check, or another protocol
            self.owners.nicks.take_back(participant.nick)
            participant.nick = ""
        self.delivery.work()

    def expel(self, account: Account) -> None:
        """Take an account that is removed out of all rooms, and give its nicks back to all.

        The caller has told its connections to end. They are still there until they have said
        goodbye, but the next owner of the nick cannot be mistaken for one of them.
        """
        for device in self.devices.of(account):
            if isinstance(device, Away):
                self._leave(device)
                continue
            self.finish_resume(device)
            for member in list(self.sessions[device].values()):
                self._remove(member)
        for nick in (account.nick, *account.former):
            self.owners.release(account, nick)
        self.delivery.work()

    def _introduced(self, participant: Participant) -> bool:
        """Return whether a participant has said anything yet, or stayed for a second."""
        members = self.sessions.get(participant, {}).values()
        return bool(participant.client) or any(member.announced for member in members)

    def _drop(self, participant: Participant) -> Away:
        """Remove a rich client from its rooms without announcing it yet.

        It may come back to those as well that it had not rejoined when it was lost again.
        """
        if len(self.absent.get(participant, ())) > self.limits.rooms_per_client:
            self.finish_resume(participant)  # or one that never rejoins any would have ever more
        memberships = self.sessions[participant]
        absent = self.absent.pop(participant, ())
        rooms = [room for room in absent if room.name not in memberships]
        if self._heard is not None:
            self._heard.give_up_resume(participant)
        for member in list(memberships.values()):
            if member.announced and not self.devices.announced_by_another(member):
                member.announced = False
                member.room.away.add(participant.nick)
                rooms.append(member.room)
            self._remove(member)
        self.devices.remove(participant)
        account, pace = participant.account, participant.pace
        return Away(participant.client, participant.nick, rooms, pace, account)

    def _tell_hold(self, away: Away, seconds: float) -> None:
        """Tell the other nodes that a lost client may come back here for so many seconds."""
        self.timeline.nodes.hold(away.client, self.owners.guest_nick(away.client), seconds)

    def hold_again(self) -> None:
        """Tell the other nodes whose nicks are held here: what was stored of that may be lost."""
        now = time.monotonic()
        for away in self.owners.clients.values():
            if isinstance(away, Away):
                self._tell_hold(away, max(away.until - now, 0.0))

    def _held(self, away: Away) -> bool:
        return self.owners.clients.get(away.client) is away

    def _leave(self, away: Away) -> None:
        """Forget a client, on all nodes; one that has moved is another's."""
        if self._held(away):
            self.timeline.nodes.leave(away.client)
            self._forget(away)
        elif self.moved.pop(away.client, None) is not None:
            self._stays_away(away)

    def _forget(self, away: Away) -> None:
        """Forget a client here."""
        del self.owners.clients[away.client]
        if away.account is None:
            self.owners.give_back(away.nick)
        self._stays_away(away)

    def _stays_away(self, away: Away) -> None:
        for room in away.rooms:
            self.stays_away(room, away)
        self.devices.remove(away)

    # Other nodes

    def hear_moved(self, client: bytes, node: str) -> None:
        """Give up a client, which is another node's now; nobody is told that it has left.

        That is told when its nick would not be held any more, unless it is a member there by then.
        """
        former = self.owners.clients.pop(client, None)
        if former is None:
            return
        away = former
        if not isinstance(away, Away):
            away.end(REPLACED)
            away = self._drop(away)
            self.devices.add(away)
        if away.account is None:
            self.owners.give_back(away.nick)
        self.end_move(client)
        away.until = time.monotonic() + self.limits.nick_hold_seconds
        self.moved[client] = away
        if self._heard is not None and self._heard.has_resumed(away, node):
            self.end_move(client)
        self.delivery.work()

    def end_move(self, client: bytes) -> None:
        """Announce that a client that has moved has left the rooms that it did not rejoin."""
        moved = self.moved.pop(client, None)
        if moved is not None:
            self._stays_away(moved)
            self.delivery.work()

    # Nicks

    def check_rename(self, participant: Participant, text: str) -> str:
        """Return a nick that somebody may take, as far as is known here, normalized.

        Raises Refused, Ending.
        """
        participant.check()
        account = participant.account
        if account is not None and not account.may_take(text):
            text = f"You have left {MOST_FORMER} nicks in 30 days, which is the limit."
            raise Refused("forbidden", f"{text} Take one of these, or keep yours.")
        return self.owners.nicks.check(text, account or participant)

    def rename(self, participant: Participant, text: str) -> str:
        """Change a nick, which is claimed; return it as it is spelled. Raises Refused, Ending."""
        nick = self.check_rename(participant, text)
        former, account = participant.nick, participant.account
        self.owners.nicks.give(nick, account or participant)
        if nick == former:
            return nick
        if account is not None:
            account.rename(nick)
            self.people.marks.name(account, former)
        elif names.fold(nick) != names.fold(former):
            self.owners.give_back(former)
            self.timeline.nodes.unclaim(former)
        self._console.renamed(former, nick)
        for room in self._rename(self.devices.of_same(participant), former, nick):
            self._renamed(room, participant, former)
        self.delivery.work()
        return nick

    def follow_rename(self, account: Account, former: str) -> None:
        """Follow the new nick of an account, which it has taken on another node."""
        rooms = self._rename(self.devices.of(account), former, account.nick)
        for room, device in rooms.items():
            self._presence.renamed(room, device, former)
        self.delivery.work()

    def _rename(self, devices: Iterable[Device], former: str, nick: str) -> dict[Room, Device]:
        """Change the nick of all clients of somebody; return the rooms whose members know one."""
        rooms: dict[Room, Device] = {}
        for device in devices:
            device.nick = nick
            absent = device.rooms if isinstance(device, Away) else self.absent.get(device, ())
            for room in absent:  # it returns under another nick
                if former in room.away:
                    room.away.remove(former)
                    room.away.add(nick)
                    rooms.setdefault(room, device)
            if not isinstance(device, Away):
                members = self.sessions[device].values()
                rooms.update((each.room, device) for each in members if each.announced)
        return rooms

    def _renamed(self, room: Room, participant: Participant, former: str) -> None:
        participant.charge(room.rich_members)
        self._presence.renamed(room, participant, former)
