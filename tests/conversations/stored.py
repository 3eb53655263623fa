"""Where conversations are stored: as each test says, or all of them on an engine instead.

With CONVERSATIONS=valkey, or redis, every server of this package stores its messages there.
"""

import os
from contextlib import ExitStack, closing
from itertools import cycle

from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.url import parse
from tests.conversations.nodes import NODES
from tests.engines import RunningEngine, running

ON_ENGINE = os.environ.get("CONVERSATIONS", "valkey" if NODES > 1 else "")
OF_ONE_STORE = frozenset({
    # What a timeline in memory or in a file is made to do: fail, wait, be full, be older.
    "test_in_doubt", "test_new_epoch", "test_storage", "test_meanwhile",
    "test_a_failing_disk_is_answered_with_503_and_the_key_posts_later",
    "test_a_memory_full_of_rooms_starts_no_more_and_keeps_those_that_are_there",
    "test_a_rollback_guard_that_cannot_be_written_shows_in_the_metrics",
    "test_a_topic_is_announced_even_if_its_setter_disconnects",
    "test_health_is_503_while_messages_cannot_be_stored",
    "test_in_another_epoch_marks_begin_at_the_newest",
    # Which posts it deletes, and when.
    "test_a_cursor_before_the_oldest_post_is_not_recovered",
    "test_a_key_may_be_used_again_when_its_post_was_trimmed",
    "test_a_replay_of_many_short_posts_stays_within_its_limit",
    "test_a_replay_that_is_overtaken_by_a_trim_ends_with_slow_and_the_next_join_says_so",
    "test_a_trimmed_post_cannot_be_edited",
    "test_a_trimmed_room_replays_the_retained_posts",
    "test_after_a_trimmed_post_come_the_oldest_that_are_kept",
    "test_around_a_trimmed_post_are_the_nearest_ones",
    "test_history_starts_where_the_room_was_trimmed",
    "test_what_was_trimmed_is_not_unread",
    # By whose clock; an engine has its own.
    "test_a_system_clock_that_jumps_does_not_disturb_clients",
    "test_positions_continue_when_the_clock_is_set_back",
    # Whether a message is stored in the round of the loop in which it comes.
    "test_requests_of_a_kicked_client_have_no_effect",
    # Whether others may decide while one that decides waits for the disk.
    "test_what_operators_decide_during_a_sign_in_holds_for_it",
    # Its index, its settings, the files beside it.
    "test_a_reload_never_removes_the_password",
    "test_rules_survive_a_restart",
    "test_rules_that_cannot_be_saved_apply_and_are_reported",
    "test_search_says_that_it_is_not_available_while_the_chat_goes_on",
    "test_searches_of_one_client_take_one_place_and_of_many_are_refused",
    "test_the_frame_limit_the_hosts_and_the_origins_can_be_changed",
    "test_without_search_no_index_is_left_that_would_keep_redacted_texts",
})  # fmt: skip
"""Tests, and modules, about something that is different on an engine."""
_stack = ExitStack()  # the engine ends with this process
_engines: list[RunningEngine] = []
_databases = cycle(range(16))
_places: dict[str, str] = {}


def placed(timeline: str) -> str:
    """Return where a server stores instead of in a timeline: the same place for the same file."""
    if not ON_ENGINE or timeline.startswith("unix:"):
        return timeline
    if not _engines:
        _engines.append(_stack.enter_context(running(ON_ENGINE)))
    if timeline in _places:
        return _places[timeline]
    url = f"{_engines[0].url}?db={next(_databases)}"
    with closing(Engine(parse(url), name="test")) as connection:
        connection.call("FLUSHDB")
    if timeline != "memory:":
        _places[timeline] = url
    return url
