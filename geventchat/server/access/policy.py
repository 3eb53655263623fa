"""Access policy: who may connect, who may post, who is an operator.

Sessions ask when their connection is accepted, at hello, before a message and before a new nick.
Nothing here waits unless it says so.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from geventchat.config import Limits
from geventchat.protocol import names
from geventchat.protocol.errors import ACCOUNT, BANNED, FULL, PASSWORD, Ending, Reason, Refused
from geventchat.protocol.requests import Hello
from geventchat.server.access.credentials import FailedAttempts, Secret
from geventchat.server.access.rate_limits import Buckets, ConnectionLimiter, origin
from geventchat.server.access.rules import Rule, Rules, moment
from geventchat.server.access.rules_file import RulesCopy, RulesFile
from geventchat.server.access.shared_rules import SharedRules
from geventchat.server.networks import Networks
from geventchat.server.participant import Participant
from geventchat.server.people.account import Account
from geventchat.server.people.records import Records
from geventchat.server.timeline import Timeline

_FOR_EVER: Final = float("inf")
_HOUR: Final = 60 * 60.0
_REGISTRATIONS: Final = 60
"""New accounts of one address within an hour."""
ACCOUNT_REQUIRED: Final = replace(
    ACCOUNT, text="This server requires an account. Sign in or register with a rich client."
)
SIGN_INS_SPENT: Final = replace(ACCOUNT, text="Too many wrong attempts. Try again in a minute.")
_WRONG: Final = replace(PASSWORD, text="Wrong password.")
_SPENT: Final = replace(PASSWORD, text="Too many wrong attempts. Try again in a minute.")

_log = logging.getLogger("geventchat.audit")


def audit(session: Participant, action: str, **details: object) -> None:
    """Log what an operator did, or somebody else tried to do. Never waits."""
    known = {name: value for name, value in details.items() if value is not None}
    told = "".join(f", {name} {value}" for name, value in known.items())
    who = {"event": "audit", "nick": session.nick, "address": session.address, "action": action}
    _log.info(
        "%s at %s: %s%s",
        session.nick,
        session.address,
        action,
        told,
        extra={"details": who | known},
    )


def operator_name(session: Participant) -> str:
    """Return who made something that is kept: a guest's name is another's after a restart."""
    guest = session.nick.startswith(names.GUEST)
    return f"operator at {session.address}" if guest else session.nick


class Policy:
    """The password, the operator token and the rules of operators."""

    def __init__(
        self,
        *,
        password: str | None = None,
        token: str | None = None,
        trust: Sequence[str] = (),
        file: RulesFile | None = None,
        limits: Limits | None = None,
        accounts: str = "open",
    ) -> None:
        self.limiter = ConnectionLimiter(limits or Limits())
        self.renew(password=password, token=token, trust=trust, accounts=accounts)
        self._registrations = Buckets(_HOUR)
        self._file = file
        self.rules = Rules(file.load() if file is not None else ())
        self.shared: SharedRules | None = None
        """The rules as they are stored with the history; None: they are in the file."""
        self.clock = time.time

    def renew(
        self, *, password: str | None, token: str | None, trust: Sequence[str], accounts: str
    ) -> None:
        """Replace the secrets; existing sessions and operators are not affected."""
        self.accounts = accounts
        self._password = Secret(password) if password is not None else None
        self._token = Secret(token) if token is not None else None
        self._passwords, self._tokens = FailedAttempts(), FailedAttempts()
        self._sign_ins = FailedAttempts()
        self.trust = Networks(trust)

    @property
    def features(self) -> list[str]:
        """The features to announce in `welcome`."""
        return ["admin"] if self._token is not None else []

    def shut(self) -> Reason | None:
        """Return why a connection has to say hello before it is a member, if it has to."""
        if self._password is not None:
            return PASSWORD
        if self.accounts == "required":
            return ACCOUNT_REQUIRED
        return self._closed()

    def address_ban(self, address: str) -> Reason | None:
        """Return the reason to reject an address at once, if it is banned."""
        rule = self.rules.of_address("ban", address, self.clock())
        return replace(BANNED, text=f"Your address is banned{rule.sentence()}") if rule else None

    def admit(self, session: Participant, hello: Hello, client: bytes, former: str | None) -> None:
        """Admit a session that is not an operator, or raise Ending.

        `client` is the hash of its id, `former` its nick if the client is known already.
        """
        if session.locked_out is FULL:
            raise Ending(FULL)
        if (banned := self.address_ban(session.address)) is not None:
            raise Ending(banned)
        if self._password is not None:
            if hello.password is None:
                raise Ending(PASSWORD)
            now = time.monotonic()
            counted = _is_counted(session)
            # A known client is not locked out by the wrong attempts of others at its address.
            if counted and former is None and self._passwords.exceeded(session.address, now):
                raise Ending(_SPENT)
            if not self._password.matches(hello.password):
                if counted:
                    self._passwords.count(session.address, now)
                raise Ending(_WRONG)
        nicks = [former] if former is not None else []
        if hello.nick is not None:
            with suppress(Refused):  # an invalid nick is refused later
                nicks.append(names.nick(hello.nick))
        if (banned := self.banned(client, nicks, session.address)) is not None:
            raise Ending(banned)
        if (
            former is None
            and session.locked_out is not None
            and (hello.account is None or hello.account.register)  # others are not new
            and (closed := self._closed()) is not None
        ):
            raise Ending(closed)

    def check_sign_in(self, session: Participant, nick: str) -> None:
        """Raise Ending `account` if there were too many wrong sign-ins for a nick or an address."""
        now = time.monotonic()
        if self._sign_ins.exceeded(_guessed(nick), now) or (
            _is_counted(session) and self._sign_ins.exceeded(session.address, now)
        ):
            raise Ending(SIGN_INS_SPENT)

    def count_sign_in(self, session: Participant, nick: str) -> None:
        """Count a wrong sign-in, against the nick and against the address."""
        now = time.monotonic()
        self._sign_ins.count(_guessed(nick), now)
        if _is_counted(session):
            self._sign_ins.count(session.address, now)

    def check_registration(self, session: Participant) -> None:
        """Count a new account. Raises Refused if there may be none, or too many."""
        if self.accounts == "closed" and not session.operator:
            raise Refused("forbidden", "Only operators make accounts on this server.")
        if _is_counted(session) and not self._registrations.acquire(
            origin(session.address), _REGISTRATIONS, time.monotonic()
        ):
            text = f"Your address has made {_REGISTRATIONS} accounts within an hour. Try later."
            raise Refused("slow_down", text, retry_ms=60_000)

    def check_account(self, account: Account) -> None:
        """Raise Ending if an account is banned."""
        rule = self.rules.find("ban", "account", account.id, self.clock())
        if rule is not None:
            raise Ending(replace(BANNED, text=f"You are banned from this server{rule.sentence()}"))

    def check_bans(self, session: Participant) -> None:
        """Raise Ending if a session, its nick, its client or its account is banned."""
        banned = self.banned(session.client, [session.nick], session.address, session.account)
        if banned is not None and not session.operator:
            raise Ending(banned)

    def _closed(self) -> Reason | None:
        rule = self.rules.closed(self.clock())
        if rule is None:
            return None
        return replace(FULL, text=f"This server is closed to new users{rule.sentence()}")

    def banned(
        self, client: bytes, nicks: Sequence[str], address: str, account: Account | None = None
    ) -> Reason | None:
        """Return the reason if a client with these nicks, or its account, is banned."""
        now = self.clock()
        rule = self.rules.find("ban", "account", account.id, now) if account is not None else None
        rule = rule or self.rules.of_client("ban", client, nicks, address, now)
        if rule is None:
            return None
        named = f"The nick {rule.target} is" if rule.target_type == "nick" else "You are"
        return replace(BANNED, text=f"{named} banned from this server{rule.sentence()}")

    def authenticate_operator(self, session: Participant, token: str | None, action: str) -> None:
        """Make a session an operator if the token is right. Raises Refused."""
        if self._token is None:
            raise Refused("forbidden", "This server has no operators.")
        if token is None:
            raise self._denied(session, action, "Only operators may do that.")
        now = time.monotonic()
        counted = _is_counted(session)
        if counted and self._tokens.exceeded(session.address, now):
            # Not logged, or an attack could fill the log.
            raise Refused("slow_down", _SPENT.text, retry_ms=60_000)
        if not self._token.matches(token):
            if counted:
                self._tokens.count(session.address, now)
            raise self._denied(session, action, "Wrong operator token.")
        if action == "hello":
            audit(session, action)
        session.operator = True
        session.muted = 0.0

    def _denied(self, session: Participant, action: str, text: str) -> Refused:
        audit(session, action, refused=text)
        return Refused("forbidden", text)

    def refresh_mute(self, session: Participant) -> None:
        """Update whether a session is muted."""
        session.muted = 0.0
        if not session.operator:
            rule = self._mute(session)
            if rule is not None:
                session.muted = rule.until / 1000 if rule.until is not None else _FOR_EVER

    def _mute(self, session: Participant) -> Rule | None:
        now, nicks = self.clock(), [session.nick]
        if session.account is not None:
            rule = self.rules.find("mute", "account", session.account.id, now)
            if rule is not None:
                return rule
        return self.rules.of_client("mute", session.client, nicks, session.address, now)

    def frozen(self, room: str) -> bool:
        """Return whether only operators may post in a room."""
        return (
            room in self.rules.frozen
            and self.rules.of_room("freeze", room, self.clock()) is not None
        )

    def check_speech(self, session: Participant, room: str | None = None) -> None:
        """Raise Refused if a session may not post, in the room or at all."""
        if room is not None and session.account is not None:
            _check_membership(session.account, room, self.clock())
        if session.operator:
            return
        now = self.clock()
        if session.muted and session.muted <= now:
            self.refresh_mute(session)  # there may be another rule
        if session.muted:
            rule = self._mute(session)
            why = rule.sentence() if rule is not None else "."
            raise Refused("muted", f"You are muted by an operator{why}", room=room)
        if room in self.rules.frozen and (rule := self.rules.of_room("freeze", room, now)):
            text = f"Only operators may post in {room}{rule.sentence()}"
            raise Refused("forbidden", text, room=room)

    def check_hook(self, client: bytes, author: str, address: str, room: str) -> None:
        """Raise Refused if a webhook may not post, because of its room, author or address."""
        now = self.clock()
        reason = self.address_ban(address) or self._closed()
        if reason is not None:
            raise Refused("forbidden", reason.text)
        for action in ("ban", "mute"):
            rule = self.rules.of_client(action, client, [author], address, now)
            if rule is not None:
                done = "banned" if action == "ban" else "muted"
                raise Refused("forbidden", f"{author} is {done} by an operator{rule.sentence()}")
        if room in self.rules.frozen and (rule := self.rules.of_room("freeze", room, now)):
            text = f"Only operators may post in {room}{rule.sentence()}"
            raise Refused("forbidden", text, room=room)

    def check_topic(self, session: Participant, room: str) -> None:
        """Raise Refused if a session may not set the topic of a room."""
        self.check_speech(session, room)
        rule = self.rules.of_room("lock", room, self.clock())
        if rule is not None and not session.operator:
            raise Refused("forbidden", f"The topic of {room} is locked{rule.sentence()}", room=room)

    def check_nick(self, session: Participant, nick: str) -> None:
        """Raise Refused if a session may not take a nick."""
        self.check_speech(session)
        self.check_nick_ban(session, nick)

    def check_nick_ban(self, session: Participant, nick: str) -> None:
        """Raise Refused if a session may not take a nick because that is banned.

        To be asked in the stretch that gives it the nick: a ban finds only those who have it.
        """
        if session.operator:
            return
        rule = self.rules.of_client("ban", b"", [names.nick(nick)], "", self.clock())
        if rule is not None:
            raise Refused("forbidden", f"The nick {rule.target} is banned{rule.sentence()}")

    def share_rules(self, timeline: Timeline, records: Records) -> SharedRules:
        """Have the rules stored with the history, for all nodes, and return them. Blocks.

        Raises ValueError and Refused if they cannot be read.
        """
        update = RulesCopy(self._file, self._in_force).update if self._file else lambda: None
        self.shared = SharedRules(self.rules, records, timeline, update)
        return self.shared

    def note_rules(self) -> Callable[[], None]:
        """Have the rules stored as they are now; return what waits for it. Never waits.

        That raises Refused `storage`.
        """
        if self.shared is not None:
            noted = self.shared.note()
            return lambda: _raise(noted.get())
        return self._save_file

    def _save_file(self) -> None:
        if self._file is not None:
            self._file.save(self._in_force())

    def _in_force(self) -> list[Rule]:
        return self.rules.in_force(self.clock())

    def forget_guest(self, nick: str) -> None:
        """Remove the rule about a plain guest, who has left and cannot return. Never waits."""
        if self.rules.forget(nick) and self.shared is not None:
            self.shared.note()


def _raise(refusal: Refused | None) -> None:
    if refusal is not None:
        raise refusal


def _check_membership(account: Account, room: str, now: float) -> None:
    """Raise Refused if an account may not post in a private room or a conversation."""
    membership = account.memberships.get(room)
    if membership is None:
        return
    if (until := membership.muted) is not None:
        if not until or now * 1000 < until:
            when = f" until {moment(until)}" if until else ""
            raise Refused("muted", f"A moderator of {room} has muted you{when}.", room=room)
        membership.muted = None
    if (other := membership.other) is not None:
        if other.removed:
            raise Refused("forbidden", f"{other.nick} has no account any more.", room=room)
        if account.id in other.blocked:
            raise Refused("forbidden", f"{other.nick} does not take messages from you.", room=room)


def _guessed(nick: str) -> str:
    """Return the nick whose password is guessed, as it is counted; no address looks like it."""
    return f"nick {names.fold(nick[: 4 * names.MAX_NAME_LENGTH])}"


def _is_counted(session: Participant) -> bool:
    """Return whether the wrong attempts of a session count: those of trusted networks do not."""
    return session.pace is not None
