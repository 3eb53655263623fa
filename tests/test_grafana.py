"""docs/grafana.json: a dashboard that can be imported, with existing metrics."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conversations.chat import chatting
from tests.conversations.peers import Plain

DASHBOARD: Final = json.loads(
    (Path(__file__).parent.parent / "docs" / "grafana.json").read_text("utf-8")
)
PANELS: Final[list[dict[str, Any]]] = DASHBOARD["panels"]
QUERIES: Final[list[str]] = [
    target["expr"] for panel in PANELS for target in panel.get("targets", [])
]
_PROMQL: Final = frozenset("and by count histogram_quantile max min on rate sum time".split())
_PARTS: Final = re.compile(r'"[^"]*"|\[[^]]*\]|[a-zA-Z_]\w*')


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Return the labels of each metric of a server, by name."""
    with chatting(connections=1) as chat:
        ann = chat.rich("Ann")
        with Plain(chat.address) as one_too_many:
            one_too_many.rest()
        ann.say("lobby", "hi")
        ann.posts(1)
        ann.tell("bye")
        ann.closing()
        chat.wait_disconnected(ann)
        chat.server._metrics.certificate_expires = 4e9
        text = chat.server._metrics.text().decode()
    return {
        sample.name: set(sample.labels) | {"instance"}  # added by Prometheus
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def words(query: str) -> Iterator[str]:
    """Yield the names in a query: metrics, labels, and keywords of PromQL."""
    return (part for part in _PARTS.findall(query) if part[0] not in '"[')


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_uses_existing_metrics_and_labels(query: str, exposed: dict[str, set[str]]) -> None:
    named = set(words(query)) - _PROMQL
    figures = named & exposed.keys()
    assert figures
    assert named - figures <= set().union(*(exposed[figure] for figure in figures))


def test_every_metric_is_shown(exposed: dict[str, set[str]]) -> None:
    shown = {word for query in QUERIES for word in words(query)}
    own = {name for name in exposed if name.startswith("geventchat_")}
    assert own <= shown


def test_the_dashboard_can_be_imported_and_provisioned() -> None:
    """Only the form for imports fills in `__inputs`; a variable is filled in everywhere."""
    assert "__inputs" not in DASHBOARD
    source, variable = DASHBOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    uses = [variable, *(panel for panel in PANELS if panel["type"] != "row")]
    uses += [target for panel in PANELS for target in panel.get("targets", [])]
    for use in uses:
        assert use["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
    kinds = {panel["type"] for panel in PANELS} - {"row"}
    assert kinds == {each["id"] for each in DASHBOARD["__requires"] if each["type"] == "panel"}
    assert DASHBOARD["id"] is None  # Grafana gives one
    assert DASHBOARD["schemaVersion"] >= 36


def test_every_panel_has_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
