"""Places in lists that are read by the page: a number and a name, spelled as an opaque cursor."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from geventchat.protocol import names
from geventchat.protocol.errors import Refused


class Place(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the order of a list."""

    number: Annotated[int, Meta(ge=0, le=2**53)]
    name: Annotated[str, Meta(max_length=names.MAX_NAME_LENGTH)]

    @property
    def cursor(self) -> str:
        """The place, as clients send it back."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode()


_decoder: Final = msgspec.msgpack.Decoder(Place)


def place(cursor: str) -> Place:
    """Return the place that a cursor spells. Raises Refused `bad_field`."""
    try:
        found = _decoder.decode(urlsafe_b64decode(cursor.encode("ascii")))
        if found.cursor == cursor:
            return found
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        pass
    raise Refused("bad_field", "after: Not the `next` of an earlier page. Begin without it.")
