"""Conversations that mean nothing over several nodes, each with the reason."""

from typing import Final

_OF_ONE_NODE: Final = {
    "what an address may do is counted by each node": (
        "test_addresses", "test_limits", "test_web_admission",
        "test_a_post_of_a_webhook_is_counted_as_an_arrival_as_a_page_is",
        "test_a_trusted_network_has_no_limit_of_wrong_passwords",
        "test_limits_count_the_clients_of_a_proxy_by_their_own_addresses",
        "test_after_some_wrong_guesses_for_a_nick_the_right_one_is_not_looked_at",
        "test_an_address_registers_a_limited_number_of_accounts",
        "test_an_address_that_guessed_too_often_is_not_looked_at_for_any_nick",
        "test_guesses_at_the_same_time_count_as_those_one_after_the_other",
        "test_reconnecting_does_not_reset_the_rate_limit",
        "test_requests_for_pages_are_limited_by_the_address_of_the_client",
        "test_the_limit_is_the_addresses_and_not_the_clients",
        "test_wrong_passwords_are_limited_per_minute_and_address",
    ),
    "each node has its own limit of open rooms": (
        "test_a_room_without_members_and_posts_is_forgotten",
    ),
    "what a test looks at, or changes, is that of one server": (
        "test_people_not_stored", "test_proxies", "test_web_proxies", "test_reload", "test_start",
        "test_a_browser_on_the_chat_port_is_told_the_address_with_https",
        "test_a_flood_from_a_trusted_network_delays_nobody",
        "test_a_guest_keeps_its_nick_if_its_account_could_not_be_stored",
        "test_a_program_of_another_protocol_is_logged_by_its_name",
        "test_a_rejected_client_is_told_why_over_tls",
        "test_a_slow_or_silent_handshake_ends_in_time",
        "test_a_stranger_changes_posts_at_the_rate_limit",
        "test_a_stranger_searches_at_the_rate_limit",
        "test_an_account_that_is_removed_meanwhile_gets_no_password",
        "test_counts_end_at_999",
        "test_messages_deliveries_and_connections_are_counted",
        "test_sign_ins_are_counted_by_what_came_of_them",
        "test_silent_members_are_pinged_and_then_closed",
        "test_the_guest_whose_client_registers_does_not_keep_the_nick_of_the_account",
        "test_top_lists_the_busiest_rooms_and_the_slowest_clients",
        "test_what_is_redacted_between_the_two_reads_is_not_sent",
        "test_what_operators_decide_during_a_sign_in_holds_for_it",
        "test_what_webhooks_asked_for_is_counted_by_status",
    ),
    "the nodes are waited for between what is sent and what is asked": (
        "test_the_third_rich_frame_that_is_not_utf8_closes_with_bye",
    ),
    "the nodes share a file that is a node's own": ("test_concurrent_actions_are_all_saved",),
    "one server ends, or reads its certificate again, and the others do not": (
        "test_everything_received_before_shutdown_is_stored_and_delivered",
        "test_a_new_certificate_holds_for_new_connections",
        "test_a_reload_reads_the_certificate_and_keeps_the_old_one_if_it_is_bad",
        "test_a_request_under_way_is_answered_though_the_server_shuts_down",
        "test_a_shutdown_stores_messages_received_from_a_throttled_client",
    ),
    "presence and typing have an order by themselves on each node": (
        "test_a_half_closed_client_is_announced_as_left",
        "test_a_kicked_client_gets_the_reason_and_the_others_its_leave",
        "test_a_plain_drop_is_announced_at_once",
        "test_a_plain_member_is_announced_before_its_first_message",
        "test_a_post_comes_after_its_typing",
        "test_history_has_what_one_has_heard_while_others_have_still_to_hear_it",
        "test_plain_and_rich_members_hear_each_other",
    ),
    "it starts servers as processes, or nodes, itself": (
        "test_accounts_kept", "test_crash", "test_descriptors", "test_devices_killed", "test_disk",
        "test_documented_proxies", "test_drain", "test_kill", "test_listening",
        "test_marks_killed", "test_pipe_killed", "test_rules_of_nodes", "test_secrets",
        "test_storage_hangs",
    ),
}  # fmt: skip
OF_ONE_NODE: Final = frozenset(each for several in _OF_ONE_NODE.values() for each in several)
"""Tests, and modules."""
