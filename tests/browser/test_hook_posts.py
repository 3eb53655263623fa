"""What webhooks have said is told apart from what people say."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich


def test_a_program_cannot_be_taken_for_a_person(
    open_tab: OpenTab, serve: Callable[..., Door], tmp_path: Path, room: str
) -> None:
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    door = serve("--operator-file", str(file))
    with Rich(door.address, "olga", rooms=[room], token=TOKEN) as olga:
        token = olga.ask("hook", action="add", room=room)["hooks"][0]["token"]
        olga.say(room, "of a person")
        olga.posts(1)
    ann = open_tab("ann", door=door).open().join()
    for text in ("build is green", "build is red"):
        request = Request(f"{door.page}hook/{token}", data=text.encode())
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200
    ann.expect_texts("of a person", "build is green", "build is red")
    mark = ann.article("build is green").get_by_text("hook", exact=True)
    expect(mark.and_(ann.page.locator("small"))).to_be_visible()
    expect(ann.article("of a person").locator("small")).to_have_count(0)
    expect(ann.article("build is red")).to_have_class(re.compile("grouped"))
    red = ann.article("build is red")
    red.hover()
    before = [each.bounding_box() for each in red.locator("header > :not(.author)").all()]
    words = red.locator(".text").bounding_box()
    assert words is not None
    assert all(box is None or box["x"] + box["width"] <= words["x"] for box in before)
    ann.article("build is green").get_by_role("button", name="Message menu").click()
    expect(ann.page.get_by_role("menuitem")).to_have_text(["Copy text", "Ignore"])
