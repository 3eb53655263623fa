"""What the words of a text are, and what a query finds."""

import sys
import time
from unicodedata import combining, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.server.search.query import _RUN, MOST_PHRASES, Query, words


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("green", "The build is GREEN."),
        ("build green", "green is the build"),
        ('"build is"', "The build is green"),
        ("resume", "Résumé"),
        ("résumé", "resume"),
        ("straße", "STRASSE"),
        ("東京", "昨日東京に行った"),
        ("안녕", "안녕하세요"),
        ("สวัสดี", "สวัสดีครับ"),
        ("foo-bar", "see foo bar"),
        ("ﬁn", "fin"),
        ("#17", "issue 17"),
        ("がく", "がくせい"),
        ("محمد", "قال مُحَمَّد"),
        ("שלום", "שָׁלוֹם"),
        ("हिन्दी", "हिन्दी भाषा"),
    ],
)
def test_a_query_matches(query: str, text: str) -> None:
    assert Query(query).matches(text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("gree", "green"),
        ('"is build"', "The build is green"),
        ("build red", "the build is green"),
        ("京東", "東京"),
        ("かく", "がくせい"),
        ("कि", "की"),
    ],
)
def test_a_query_does_not_match(query: str, text: str) -> None:
    assert not Query(query).matches(text)


@pytest.mark.parametrize("text", ["", "...", '""', '"', "- * ( )", "   "])
def test_a_query_without_words_is_empty(text: str) -> None:
    assert not Query(text)


def test_endless_marks_are_words_in_no_time_to_speak_of() -> None:
    text = "\u0301\u0316\u0f71\u0f74\uff9e" * 4_000

    def seconds() -> float:
        began = time.perf_counter()
        words(f"green {text} tea")
        return time.perf_counter() - began

    found = words(f"green {text} tea")
    assert (found[0], found[-1]) == ("green", "tea")
    assert any(seconds() < 0.1 for _ in range(5))  # all in one run would take seconds


def test_no_word_of_a_long_text_is_divided() -> None:
    text = " ".join(f"né{number}" for number in range(10_000))
    assert words(text) == [f"ne{number}" for number in range(10_000)]


def test_whatever_begins_with_a_mark_is_counted_as_one() -> None:
    """A run of them has no end otherwise."""
    every = map(chr, range(sys.maxunicode + 1))
    marks = [each for each in every if combining(normalize("NFKD", each)[0])]
    assert len(marks) > 800
    assert [each for each in marks if not _RUN.fullmatch(each * 30)] == []


def test_only_so_many_phrases_count() -> None:
    assert len(Query(" ".join(map(str, range(100)))).phrases) == MOST_PHRASES


@given(st.text())
def test_no_text_is_an_operator_of_the_index(text: str) -> None:
    query = Query(text)
    bare = query.match.replace(" AND ", " ").replace('"', "")
    assert not bare or set(bare.split()) == {word for each in query.phrases for word in each}


@given(st.text())
def test_every_text_matches_its_own_words(text: str) -> None:
    found = words(text)
    assert all(word and " " not in word and '"' not in word for word in found)
    assert words(" ".join(found)) == found
    query = Query(text.replace('"', " "))
    assert not query or query.matches(text.replace('"', " "))
