"""Owners: whose each nick is, and who has the nick that somebody asks for.

A nick belongs to an account, to a rich client, or to one that may come back. Nothing here waits.
"""

from collections.abc import Callable, Mapping

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.chat.away import Away, whose
from geventchat.server.chat.devices import Device, Devices, person_of
from geventchat.server.chat.nicks import Nicks
from geventchat.server.chat.room import Member
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account, Membership
from geventchat.server.people.people import People
from geventchat.server.timeline.nodes import Person


class Owners:
    """The nicks of accounts and clients. The hub adds and removes the clients."""

    people: People
    """Set by the hub, before anybody connects."""

    def __init__(
        self, sessions: Mapping[Participant, Mapping[str, Member]], devices: Devices
    ) -> None:
        """`sessions` and `devices` are the hub's."""
        self._sessions = sessions
        self._devices = devices
        self.nicks: Nicks[Device | Account] = Nicks(whose)
        self.clients: dict[bytes, Participant | Away] = {}
        """Rich clients, connected or away, by the hash of their id."""
        self.on_identity: Callable[[Participant, Person], None] = lambda _now, _former: None
        """Called with a guest that has become an account, or the reverse, and who it was."""

    def reserve(self, account: Account) -> None:
        """Keep the nicks of an account from others."""
        for nick in (*account.former, account.nick):
            self.nicks.give(nick, account)

    def release(self, account: Account, nick: str) -> None:
        """Give a nick of an account back to all."""
        if self.nicks.owner(nick) is account:
            self.nicks.free(nick)

    def check_new(self, text: str, client: bytes | None = None) -> str:
        """Return the nick, normalized, that `create_account` gives. Raises Refused."""
        return self.nicks.check(text, self.clients.get(client) if client is not None else None)

    def create_account(self, text: str, password: str, client: bytes | None = None) -> Account:
        """Make an account with a nick that is free, or that is a client's; it is in the lobby.

        Raises Refused. The caller saves it.
        """
        owner = self.clients.get(client) if client is not None else None
        nick = self.nicks.take(text, owner) if owner is not None else self._check_free(text)
        account = self.people.create(nick, password)
        self.nicks.give(nick, account)
        return account

    def _check_free(self, text: str) -> str:
        """Return a nick that nobody has, normalized. Raises Refused."""
        nobody = Account("", "", 0)
        return self.nicks.take(text, nobody)

    def adopt(self, participant: Participant, account: Account) -> list[Membership]:
        """Make a guest, who has the account's nick, a connection of a new account.

        Its rooms become the account's. Returns what the caller saves with the account.
        """
        self.nicks.give(account.nick, account)
        former, participant.account = person_of(participant), account
        self._devices.add(participant)
        self.on_identity(participant, former)
        members = self._sessions[participant].items()
        return [self.people.join(account, room, member.room.newest) for room, member in members]

    def disown(self, participant: Participant, account: Account) -> None:
        """Undo `adopt`: the account could not be stored."""
        self._devices.remove(participant)
        former = person_of(participant)
        participant.account = participant.login = None
        self.on_identity(participant, former)
        self.discard(account, participant.client)

    def discard(self, account: Account, client: bytes | None = None) -> None:
        """Undo `create_account`: the account could not be stored."""
        self.people.discard(account)
        self.release(account, account.nick)
        owner = self.clients.get(client) if client is not None else None
        if owner is not None and owner.account is None and owner.nick == account.nick:
            self.nicks.give(owner.nick, owner)

    def hold(self, guest: Device) -> None:
        """Keep the nick of a guest from others, unless an account has taken it."""
        if self.find_account(guest.nick) is None:
            self.nicks.give(guest.nick, guest)

    def give_back(self, nick: str) -> None:
        """Give a nick that was a guest's back to all, unless an account has taken it."""
        if self.find_account(nick) is None:
            self.nicks.free(nick)

    def check_nick(self, text: str) -> str:
        """Return a nick, normalized, that is nobody's and looks like nobody's. Raises Refused."""
        return self.nicks.check(text)

    def find_rich(self, nick: str) -> Participant:
        """Return the connected rich client with a nick. Raises Refused `no_such_nick`."""
        owner = self.nicks.owner(nick)
        if isinstance(owner, Account):
            owner = next(iter(self._devices.connected(owner)), None)
        if owner is None or isinstance(owner, Away):
            raise Refused("no_such_nick", f"{nick} is not online.")
        return owner

    def find_account(self, nick: str) -> Account | None:
        """Return the account with a nick, now or as a former one that is still kept for it."""
        owner = self.nicks.owner(nick)
        return owner if isinstance(owner, Account) else None

    def nick_of_client(self, client: bytes) -> str | None:
        """Return the nick that a client has or that is held for it, if any."""
        former = self.clients.get(client)
        return former.nick if former is not None else None

    def guest_nick(self, client: bytes) -> str | None:
        """Return the nick that a client has or that is held for it as a guest, if any."""
        former = self.clients.get(client)
        if former is None or former.account is not None or self.find_account(former.nick):
            return None
        return former.nick

    def find(self, nick: str) -> Device | None:
        """Return the owner of a nick, including held nicks and plain guests.

        Of an account, one of its connections.
        """
        owner = self.nicks.owner(nick)
        if isinstance(owner, Account):
            connected = self._devices.connected(owner)
            return next(iter(connected or self._devices.of(owner)), None)
        if owner is None:
            folded = names.fold(nick[: len(names.GUEST) + 20])
            owner = next((each for each in self._sessions if each.nick == folded), None)
        return owner
