"""Submissions and changes of records: what is to be stored."""

from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["say", "topic", "edit", "redact"]
"""What a submission is to become."""


RecordChange: TypeAlias = tuple[str, str, bytes | None]
"""Kind and id of a record, and its new value; None: it is deleted."""


class Behind(Exception):
    """Another server has written one of these records meanwhile, and nothing was written.

    What it wrote is heard by now: whoever has changed that record encodes it anew.
    """


class Submission(Struct, eq=False, gc=False):
    """A post, a topic, or the change of a post, to be stored; it then becomes an entry."""

    number: int
    """Identifies it in the verdict; chosen by the submitter, never 0."""
    room: str
    author: str
    text: str
    client: bytes = b""
    """Hash of the client's id."""
    key: str | None = None
    """A say of the same client, room and key is stored once."""
    kind: Kind = "say"
    account: str | None = None
    """The public id of the author's account."""
    hook: bool = False
    """Whether a webhook says it; `client` is then the hash of the hook's id."""
    position: int = 0
    """The post to edit or redact."""
    may_redact_any: bool = False
    """Whether the author may redact the posts of others."""
