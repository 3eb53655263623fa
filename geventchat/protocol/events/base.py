"""What all events have in common."""

from msgspec import Struct


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """Base of all events, tagged with its `type`; fields at their default are omitted."""


class Answer(Event, frozen=True, kw_only=True):
    """An event that may be the direct reply to a request, and then carries its `id`."""

    id: str | None = None
