import statistics

import pytest

from loadtests.support import model
from loadtests.support.address import Address


def test_a_probe_tells_how_long_ago_it_was_said() -> None:
    seconds = model.seconds_since(model.probe("hi"))
    assert seconds is not None
    assert 0 <= seconds < 1


@pytest.mark.parametrize("text", ["hi", "\x03", "\x03elsewhere:12|hi", "\x03:|", ""])
def test_other_texts_tell_nothing(text: str) -> None:
    assert model.seconds_since(text) is None


def test_a_probe_of_this_machine_that_was_tampered_with_tells_nothing() -> None:
    clock = model.probe("").partition(":")[0]
    assert model.seconds_since(f"{clock}:never|hi") is None


def test_messages_have_the_sizes_and_the_share_of_probes_that_the_model_states() -> None:
    texts = [model.text() for _ in range(20_000)]
    probes = [text for text in texts if model.seconds_since(text) is not None]
    sizes = [len(text) for text in texts if text not in probes[:0]]
    assert len(probes) == pytest.approx(len(texts) / model.PROBE_EVERY, rel=0.15)
    assert statistics.median(sizes) == pytest.approx(model.MEDIAN_CHARACTERS, rel=0.15)
    assert max(sizes) <= model.MOST_CHARACTERS + 40
    assert all(texts)


def test_where_little_is_said_there_is_a_probe_after_half_a_second_at_the_latest() -> None:
    now = 0.0
    probes = model.Probes(lambda: now)
    assert probes.due()
    for _ in range(100):
        now += model.PROBE_SECONDS
        assert probes.due()


def test_the_lowest_free_seat_is_taken_first() -> None:
    seats = model.Seats()
    assert [seats.take() for _ in range(4)] == [0, 1, 2, 3]
    seats.give(2)
    seats.give(1)
    assert seats.taken == 2
    assert [seats.take() for _ in range(3)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org", ("example.org", 4040)),
        ("127.0.0.1:5050", ("127.0.0.1", 5050)),
        ("tcp://localhost:5050/", ("localhost", 5050)),
        ("[::1]:5050", ("::1", 5050)),
        ("[::1]", ("::1", 4040)),
        ("[fe80::1%eth0]:5050", ("fe80::1%eth0", 5050)),
        (" example.org:5050 ", ("example.org", 5050)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]) -> None:
    assert Address.parse(text) == address


UNFIT = ["", " ", ":4040", "here:", "here:chat", "here:0", "here:70000", "here:" + "9" * 5000]
UNFIT += ["http://here:80", "here/room", "me@here", "::1", "[::1", "a b:4040", "here:٤٠٤٠"]


@pytest.mark.parametrize("text", UNFIT)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT\."):
        Address.parse(text)
