"""The Chat tab: Locust renders its table and downloads, `charts.js` draws its charts."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flask import Response, jsonify, request
from locust.web import WebUI

from loadtests.dashboard.history import History
from loadtests.dashboard.table import STRUCTURE, table

_CHARTS: Final = Path(__file__).with_name("charts.js")


def add_tab(web_ui: WebUI, history: History) -> None:
    """Add the tab to the page, its data to the server, and the charts to the tab."""
    # Locust merges its own arguments into these and keeps unknown ones.
    web_ui.template_args.update(
        extended_tabs=[{"title": "Chat", "key": "chat"}],
        extended_tables=[{"key": "chat", "structure": STRUCTURE}],
        extended_csv_files=[
            {"href": "chat/history.csv", "title": "Download chat history CSV"},
            {"href": "chat/times.csv", "title": "Download chat times CSV"},
        ],
    )
    options = web_ui.environment.parsed_options
    base = (options.web_base_path if options else "") or ""
    app = web_ui.app
    assert app is not None

    def extend(response: Response) -> Response:
        """Add the script to the page, and the rows of the table to the statistics it polls."""
        if response.status_code == 200 and request.path == f"{base}/":
            script = '<script src="./chat/charts.js" defer></script></body>'
            response.set_data(response.get_data(as_text=True).replace("</body>", script))
        elif response.status_code == 200 and request.path == f"{base}/stats/requests":
            stats = json.loads(response.get_data())
            stats["extended_stats"] = [{"key": "chat", "data": table(history)}]
            response.set_data(json.dumps(stats))
        return response

    views: dict[str, Callable[[], Response]] = {
        "history.json": lambda: jsonify(history.json(request.args.get("after", -1.0, float))),
        "history.csv": lambda: _csv("chat_history", history.csv_rows()),
        "times.csv": lambda: _csv("chat_times", history.csv_times()),
        "charts.js": lambda: Response(_CHARTS.read_text("utf-8"), mimetype="text/javascript"),
    }
    for name, view in views.items():
        # Behind the login, if there is one; the wrapper gives all views the same name.
        guarded = web_ui.auth_required_if_enabled(view)
        app.add_url_rule(f"{base}/chat/{name}", endpoint=f"chat {name}", view_func=guarded)
    app.after_request(extend)


def _csv(name: str, rows: list[tuple[Any, ...]]) -> Response:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    headers = {"Content-Disposition": f"attachment;filename={name}.csv"}
    return Response(text.getvalue(), mimetype="text/csv", headers=headers)
