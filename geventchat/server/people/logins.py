"""The logins of all accounts, by token and by account. Nothing here waits."""

from collections.abc import Collection
from typing import Final

from geventchat.server.people.account import Account, now_ms
from geventchat.server.people.login import Login, digest
from geventchat.server.people.records import Kept, Records

_MOST: Final = 100
"""Of one account; the one that was not used for longest gives way, a connected one last."""
_USED_MS: Final = 60 * 60 * 1000


class Logins:
    """All logins that have not ended."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._by_digest: dict[str, Login] = {}
        """By the hash of their token."""
        self._of: dict[Account, list[Login]] = {}

    def begin(
        self, account: Account, device: str | None, connected: Collection[Login] = ()
    ) -> tuple[Login, str, list[Kept]]:
        """Begin a login on a device; return it, its token, and what the caller saves.

        Those that are `connected` do not end for it, unless all are: then one does.
        """
        now = now_ms()
        login, token = Login.new(account, now, device or "")
        changed: list[Kept] = [login]
        held = sorted(self.of(account), key=lambda each: (each in connected, each.used))
        for old in held:
            void = old.is_void(now) and old not in connected
            if void or (old is held[0] and len(held) >= _MOST):
                self.end(old)
                changed.append(old)
        self.add(login)
        return login, token, changed

    def is_crowded(self, account: Account) -> bool:
        """Return whether a login has to end before another can begin."""
        logins, now = self._of.get(account, ()), now_ms()
        return len(logins) >= _MOST or any(each.is_void(now) for each in logins)

    def find(self, hashed: str) -> Login | None:
        """Return the login with the hash of its token."""
        return self._by_digest.get(hashed)

    def of_token(self, token: str) -> Login | None:
        """Return the login with a token, if it can still be used, and note that it was."""
        login = self._by_digest.get(digest(token))
        if login is None or login.is_void(now_ms()):
            return None
        self.note_used(login)
        return login

    def note_used(self, login: Login) -> None:
        """Note that a login is in use, at most once an hour."""
        now = now_ms()
        if not login.ended and now - login.used > _USED_MS:
            login.used = now
            self._records.note(login)

    def end(self, login: Login) -> None:
        """End a login; the caller saves it, and ends its connections."""
        login.ended = True
        self._by_digest.pop(login.digest, None)
        if login in (of_account := self._of.get(login.account, [])):
            of_account.remove(login)
        if not of_account:
            self._of.pop(login.account, None)

    def of(self, account: Account) -> list[Login]:
        """Return the logins of an account, in the order in which they began."""
        return list(self._of.get(account, ()))

    def add(self, login: Login) -> None:
        """Add a login that has begun."""
        self._by_digest[login.digest] = login
        self._of.setdefault(login.account, []).append(login)
