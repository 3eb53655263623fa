"""What an application asks about posts that were said before."""

from geventchat.client.people_requests import Asking
from geventchat.protocol import requests
from geventchat.protocol.events import Edited, Found, History, Redacted


class PastRequests(Asking):
    """Requests about posts; each waits as those of a connection do, and raises the same."""

    def history(
        self,
        room: str,
        limit: int = 50,
        before: int | None = None,
        *,
        after: int | None = None,
        around: int | None = None,
    ) -> History:
        """Return up to `limit` posts (1 to 500) before, after or around a position, or the newest.

        The posts are as they are now: edited and redacted ones say so.
        """
        asked = requests.History(
            room=room, limit=limit, before=before, after=after, around=around, id=self._id()
        )
        return self._ask(asked, History)

    def edit(self, room: str, position: int, text: str) -> Edited:
        """Replace the text of one's own post.

        Needs the feature `edit` in the welcome. Repeated it changes nothing.
        """
        asked = requests.Edit(room=room, position=position, text=text, id=self._id())
        return self._ask(asked, Edited)

    def redact(self, room: str, position: int) -> Redacted:
        """Take back one's own post, or as a moderator or operator anybody's.

        Needs the feature `redact` in the welcome. Repeated it changes nothing.
        """
        asked = requests.Redact(room=room, position=position, id=self._id())
        return self._ask(asked, Redacted)

    def search(
        self,
        text: str,
        *,
        room: str | None = None,
        author: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Found:
        """Return up to `limit` (1 to 100) posts with these words, the newest first.

        In one room or all of one's rooms; what is in quotation marks is a phrase. `before` is a
        time in ms since 1970: for the next page the `before` of this. Needs the feature `search`.
        """
        asked = requests.Search(
            text=text, room=room, author=author, before=before, limit=limit, id=self._id()
        )
        return self._ask(asked, Found)
