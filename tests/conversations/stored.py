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
OF_ONE_NODE = frozenset({
    # What each node counts by itself: connections, wrong passwords, new rooms, open rooms.
    "test_addresses", "test_limits",
    "test_after_some_wrong_guesses_for_a_nick_the_right_one_is_not_looked_at",
    "test_an_address_registers_a_limited_number_of_accounts",
    "test_an_address_that_guessed_too_often_is_not_looked_at_for_any_nick",
    "test_guesses_at_the_same_time_count_as_those_one_after_the_other",
    "test_the_limit_is_the_addresses_and_not_the_clients",
    "test_wrong_passwords_are_limited_per_minute_and_address",
    # And the pace of a client.
    "test_reconnecting_does_not_reset_the_rate_limit",
    # Submissions that are made on the node of whoever hears them.
    "test_counts_end_at_999",
    # The metrics of one.
    "test_messages_deliveries_and_connections_are_counted",
    "test_sign_ins_are_counted_by_what_came_of_them",
    "test_a_program_of_another_protocol_is_logged_by_its_name",
    # A member of a node that has ended hears no more of what others still store.
    "test_everything_received_before_shutdown_is_stored_and_delivered",
    "test_a_shutdown_stores_messages_received_from_a_throttled_client",
})  # fmt: skip
"""Tests, and modules, about something that is a node's own."""

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
