"""What a search that was cut short answers can be continued by time."""

from geventchat.server.search import Place, Places


def places(*times: int) -> list[Place]:
    return [Place("tea", position, time, 0) for position, time in enumerate(times)]


def test_a_time_of_which_more_may_be_found_is_left_for_the_next_search() -> None:
    assert Places.cut(places(9, 8, 7, 7)) == Places(places(9, 8), False, 8)


def test_a_search_that_came_no_further_than_one_time_answers_with_it() -> None:
    assert Places.cut(places(7, 7)) == Places(places(7, 7), False, 7)
    assert Places.cut([]) == Places([], complete=False)
