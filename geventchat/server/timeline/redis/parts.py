"""The part of a node as the engine has it: a field for each member of each room. Nothing waits.

Rooms with too many members to name have one field, with their number. The field without a name has
the number of the part, which each change raises by one.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import msgspec

from geventchat.server.timeline.nodes import Came, Counted, Part, Person

NewField: TypeAlias = tuple[bytes, bytes | None]
"""A field and its new value; None: it is deleted."""

_encode: Final = msgspec.msgpack.Encoder().encode
_person: Final = msgspec.msgpack.Decoder(tuple[str, str | None])


class OwnPart:
    """This node's part."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Person] | int] = {}
        """The members of each room by id, or how many they are."""

    def apply(self, change: Part) -> list[NewField]:
        """Follow a change; return the fields that have another value."""
        room = change.room
        if isinstance(change, Counted):
            return self._count(room, change.count)
        people = self._rooms.get(room, {})
        if not isinstance(people, dict):
            return []
        if isinstance(change, Came):
            self._rooms[room] = people
            people[change.person.id] = change.person
            return [(_field(room, change.person.id), _value(change.person))]
        people.pop(change.id, None)
        if not people:
            self._rooms.pop(room, None)
        return [(_field(room, change.id), None)]

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all fields with their values."""
        for room, people in self._rooms.items():
            if isinstance(people, int):
                yield _field(room), _encode(people)
            else:
                for person in people.values():
                    yield _field(room, person.id), _value(person)

    def _count(self, room: str, count: int) -> list[NewField]:
        people = self._rooms.pop(room, {})
        named = people if isinstance(people, dict) else {}
        if count:
            self._rooms[room] = count
        new = _encode(count) if count else None
        return [*((_field(room, number), None) for number in named), (_field(room), new)]


def read_part(fields: Sequence[Any]) -> tuple[int, list[Part]]:
    """Return the number of a part, and all of it that can be read.

    A field that cannot be read is from a later version or another program; it is left out.
    """
    number, changes = 0, list[Part]()
    for field, value in zip(fields[::2], fields[1::2], strict=True):
        with suppress(ValueError):
            if field:
                changes.append(_change_of(field, value))
            else:
                number = int(value)
    return number, changes


def _change_of(field: bytes, value: bytes) -> Part:
    """Return what a field says. Raises ValueError."""
    room, _, somebody = field.decode().partition("\0")
    if not somebody:
        return Counted(room, msgspec.msgpack.decode(value, type=int))
    nick, account = _person.decode(value)
    return Came(room, Person(somebody, nick, account))


def _field(room: str, number: str = "") -> bytes:
    """Return the field of somebody in a room, or of how many are there."""
    return f"{room}\0{number}".encode()


def _value(person: Person) -> bytes:
    return _encode((person.nick, person.account))
