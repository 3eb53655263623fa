from loadtests.scenarios.agreement import agree


def test_figures_agree_within_a_share_or_a_few_milliseconds() -> None:
    assert agree("p50_ms", 2.0, 6.9)
    assert not agree("p50_ms", 2.0, 7.1)
    assert agree("p50_ms", 100.0, 81.0)
    assert not agree("p50_ms", 100.0, 79.0)
    assert agree("p99_ms", 100.0, 134.0)
    assert not agree("p99_ms", 100.0, 136.0)
