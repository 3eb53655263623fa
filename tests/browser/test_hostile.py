"""Texts of others are shown as text, run nothing, and leave the page as it was.

Each tab ends with no report of a violated Content-Security-Policy, no error, and no request to
anywhere else.
"""

from collections.abc import Callable
from urllib.parse import quote

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.peers import Rich

MARKUP = (
    "<script>document.body.dataset.run = 1</script>",
    '<img src="http://evil.test/x" onerror="document.body.dataset.run = 2">',
    "<svg onload=document.body.dataset.run=3>",
    '"><iframe src="http://evil.test/"></iframe>',
    "<style>* { display: none }</style>",
    '<a href="javascript:document.body.dataset.run=4">here</a>',
    "[here](javascript:document.body.dataset.run=5)",
    "</div></article></main><h1>Hello</h1>",
    "{{constructor.constructor('document.body.dataset.run = 6')()}} ${document.title = 7}",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
)
LINKS = (
    "javascript:document.body.dataset.run=1//http://a.test",
    "data:text/html,<script>document.body.dataset.run=2</script>",
    "http://user:secret@evil.test/",
    "http://bank.test\u202e/moc.live//:ptth",
    "vbscript:msgbox(1) file:///etc/passwd blob:http://a.test/1",
    "HTTP://JAVASCRIPT:alert(1)@evil.test/",
)
DISTURBING = {
    "64 KiB without a space": "x" * 65_000,
    "10,000 combining marks": "Z" + "\u0301" * 10_000,
    "combining marks of a short text": "Z" + "\u0301" * 300,
    "combining marks below": "Z" + "\u0323" * 10_000,
    "families": "👩‍👩‍👧‍👦" * 2_000,
    "line breaks": "\n" * 5_000 + "end",
    "overrides": "\u202egpj.exe \u2066\u2067\u2068 \u202d\u202e",
    "controls": "\x1b[2J\x1b[31mred\x07\x08 \u200e\u200f \ufeff \u2028\u2029 \U000e0041",
    "Hebrew": "שלום עולם " * 50,
    "wide ligatures": "ﷺ" * 3_000,
    "blanks": " " * 3_000 + "\u3000" * 3_000 + "end",
    "backticks": "`" * 9_999,
    "a long line of code": f"```\n{'y' * 9_999}\n```",
    "a long link": f"https://a.test/{'z' * 1_900}",
}


def outside(tab: Tab) -> list[str]:
    """Return what of the messages is outside the log, and whether the page itself scrolls."""
    found: list[str] = tab.evaluate("""() => {
        const { scrollWidth, scrollHeight } = document.documentElement;
        const { left, right } = document.querySelector("[role=log]").getBoundingClientRect();
        const shown = "article, article .text, article .text :not(pre *)";
        const found = [...document.querySelectorAll(shown)]
          .filter((each) => {
            const box = each.getBoundingClientRect();
            return box.left < left - 1 || box.right > right + 1;
          })
          .map((each) => each.outerHTML.slice(0, 200));
        if (scrollWidth > innerWidth) found.push(`scrolls to ${scrollWidth} of ${innerWidth}`);
        if (scrollHeight > innerHeight) found.push(`scrolls to ${scrollHeight} of ${innerHeight}`);
        return found;
    }""")
    return found


def test_markup_and_script_are_text(ann: Tab, bob: Rich) -> None:
    for text in MARKUP:
        bob.say(ann.room, text)
    ann.expect_texts(*MARKUP)
    ann.say(*MARKUP)
    ann.expect_texts(*MARKUP, *MARKUP)
    assert ann.evaluate("document.body.dataset.run") is None
    expect(ann.log.locator("img, script, style, iframe, h1")).to_have_count(0)
    assert outside(ann) == []


def test_only_links_that_open_where_they_say_can_be_clicked(ann: Tab, bob: Rich) -> None:
    for text in LINKS:
        bob.say(ann.room, text)
    bob.say(ann.room, "https://fine.test/")
    ann.article("https://fine.test/").get_by_role("link").wait_for()
    found = ann.log.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    assert found[-1] == "https://fine.test/"
    for link in found:
        assert link.startswith(("http://", "https://"))
        assert "evil.test" not in link
    shown = ann.log.get_by_role("link").all_inner_texts()
    assert [link.split("/")[2] for link in found] == [text.split("/")[2] for text in shown]


def test_what_acts_on_the_text_around_it_is_spelled_out(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "\u202egpj.exe \u2066 \x1b[31m \x07\u2028")
    ann.expect_texts(r"\u202egpj.exe \u2066 \x1b[31m \x07\u2028")
    bob.say(ann.room, "می\u200cخواهم 👩\u200d🚀")  # without these it cannot be read
    ann.expect_texts(r"\u202egpj.exe \u2066 \x1b[31m \x07\u2028", "می\u200cخواهم 👩\u200d🚀")


def test_no_text_disturbs_the_others(ann: Tab, bob: Rich) -> None:
    for number, (name, text) in enumerate(DISTURBING.items()):
        for each in f"calm {number}", text, "after it":
            bob.say(ann.room, each)
        above, hostile, below = (ann.articles.nth(3 * number + turn) for turn in range(3))
        expect(below).to_be_in_viewport(ratio=1)
        assert outside(ann) == [], name
        expect(ann.message).to_be_in_viewport(ratio=1)
        # Nothing of it is drawn over its neighbours: they look the same without it.
        for neighbour in below, above:
            neighbour.scroll_into_view_if_needed()
            with_it = neighbour.locator(".text").screenshot()
            hostile.evaluate("each => each.style.opacity = 0")
            assert neighbour.locator(".text").screenshot() == with_it, name
            hostile.evaluate("each => each.style.opacity = ''")
        ann.page.keyboard.press("Escape")  # to the newest


def test_a_right_to_left_text_leaves_what_is_beside_it(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "שלום (abc) 123!")
    article = ann.article("שלום")
    assert article.locator(".text").evaluate("text => getComputedStyle(text).direction") == "rtl"
    author = article.get_by_role("button", name=bob.nick).bounding_box()
    time = article.locator("time").bounding_box()
    assert author
    assert time
    assert author["x"] < time["x"]


def test_hostile_names_and_topics_are_text(serve: Callable[..., Door], open_tab: OpenTab) -> None:
    door = serve()
    room = "<img/src=x/onerror=alert(1)>"
    nick = "<script>alert(1)</script>"
    topic = "</h1><script>alert(2)</script>\u202e \x1b[31m" + "y" * 400
    ann = open_tab("ann", door=door).open().join()
    with Rich(door.address, nick, rooms=[room, ann.room]) as mallory:
        assert mallory.nick == nick
        mallory.tell("topic", room=room, topic=topic)
        mallory.pong()
        ann.open(f"#{quote(room)}")
        expect(ann.page.get_by_role("heading", level=1)).to_have_text(room)
        expect(ann.members).to_contain_text(nick)
        mallory.say(room, f"hello {ann.nick}")
        expect(ann.article("hello").get_by_role("button", name=nick)).to_be_visible()
        mallory.tell("typing", room=room)
        expect(ann.page.get_by_text(f"{nick} is typing")).to_be_visible()
        mallory.tell("direct", to=ann.nick, text=MARKUP[0])
        ann.rooms.get_by_role("button", name=f"{nick} 1 unread").click()
        ann.expect_texts(MARKUP[0])
        expect(ann.page.get_by_role("heading", level=1)).to_have_text(nick)
        mallory.ask("nick", nick="<b>")
        expect(ann.page.get_by_role("heading", level=1)).to_have_text("<b>")
    expect(ann.page.locator("b, img[src=x]")).to_have_count(0)
    assert outside(ann) == []
