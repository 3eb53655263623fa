"""Requests and events of accounts, rooms of people, and posts that change, as they are written."""

from typing import Final

from geventchat.protocol import events, requests
from geventchat.protocol.events import Account, Conversation, Event, Hook, Person, Post, Session
from geventchat.protocol.requests import Request

BOB: Final = Person(nick="Bob", account="b")

REQUESTS: Final[dict[str, Request]] = {
    '{"type":"register","nick":"Ann","password":"correct horse"}': requests.Register(
        nick="Ann", password="correct horse"
    ),
    '{"type":"password","password":"old","new_password":"correct horse"}': requests.ChangePassword(
        password="old", new_password="correct horse"
    ),
    '{"type":"sessions"}': requests.Sessions(),
    '{"type":"revoke","session":"s"}': requests.Revoke(session="s"),
    '{"type":"accounts","action":"add","nick":"Ann","password":"correct horse","token":"t"}': (
        requests.Accounts(action="add", nick="Ann", password="correct horse", token="t")
    ),
    '{"type":"create","room":"tea","private":true,"history":"joined"}': requests.Create(
        room="tea", history="joined"
    ),
    '{"type":"invite","room":"tea","nick":"Bob"}': requests.Invite(room="tea", nick="Bob"),
    '{"type":"remove","room":"tea","nick":"Bob"}': requests.Remove(room="tea", nick="Bob"),
    '{"type":"moderator","room":"tea","nick":"Bob","on":false}': requests.Moderator(
        room="tea", nick="Bob", on=False
    ),
    '{"type":"mute","room":"tea","nick":"Bob","on":true,"seconds":60}': requests.Mute(
        room="tea", nick="Bob", seconds=60
    ),
    '{"type":"open","with":"Bob"}': requests.Open(with_="Bob"),
    '{"type":"conversations","limit":10,"after":"n"}': requests.Conversations(limit=10, after="n"),
    '{"type":"block","nick":"Bob","on":true}': requests.Block(nick="Bob"),
    '{"type":"read","room":"tea","position":7}': requests.Read(room="tea", position=7),
    '{"type":"hook","action":"revoke","room":"tea","hook":"h","token":"t"}': requests.Hook(
        action="revoke", room="tea", hook="h", token="t"
    ),
    '{"type":"edit","room":"tea","position":7,"text":"Hello"}': requests.Edit(
        room="tea", position=7, text="Hello"
    ),
    '{"type":"redact","room":"tea","position":7}': requests.Redact(room="tea", position=7),
    '{"type":"search","text":"tea","room":"tea","author":"Ann","before":5,"limit":10}': (
        requests.Search(text="tea", room="tea", author="Ann", before=5, limit=10)
    ),
}
EVENTS: Final[dict[str, Event]] = {
    '{"type":"signed_in","id":"1","nick":"Ann","account":"a","session":"s"}': events.SignedIn(
        id="1", nick="Ann", account="a", session="s"
    ),
    '{"type":"sessions","sessions":[{"id":"s","created":1,"used":2,"connections":1,"current":true}'
    "]}": events.Sessions(
        sessions=[Session(id="s", created=1, used=2, connections=1, current=True)]
    ),
    '{"type":"accounts","accounts":[{"nick":"Ann","account":"a","created":1}],"next":"Ann"}': (
        events.Accounts(accounts=[Account(nick="Ann", account="a", created=1)], next="Ann")
    ),
    '{"type":"invited","room":"tea","nick":"Bob","account":"b","by":"Ann"}': events.Invited(
        room="tea", nick="Bob", account="b", by="Ann"
    ),
    '{"type":"removed","room":"tea","nick":"Bob"}': events.Removed(room="tea", nick="Bob"),
    '{"type":"moderators","room":"tea","moderators":[{"nick":"Bob","account":"b"}]}': (
        events.Moderators(room="tea", moderators=[BOB])
    ),
    '{"type":"muted","room":"tea","nick":"Bob","by":"Ann","on":true,"until":5}': events.Muted(
        room="tea", nick="Bob", by="Ann", on=True, until=5
    ),
    '{"type":"conversations","conversations":[{"room":"@c","with":{"nick":"Bob","account":"b"},'
    '"position":3,"read":1,"unread":2}],"next":"n"}': events.Conversations(
        conversations=[Conversation(room="@c", with_=BOB, position=3, read=1, unread=2)], next="n"
    ),
    '{"type":"blocked","blocked":[{"nick":"Bob","account":"b"}]}': events.Blocked(blocked=[BOB]),
    '{"type":"read","room":"tea","position":7,"unread":2,"mentions":1}': events.Read(
        room="tea", position=7, unread=2, mentions=1
    ),
    '{"type":"hooks","hooks":[{"id":"h","room":"a","by":"","created":1,"token":"t","url":"u"}]}': (
        events.Hooks(hooks=[Hook(id="h", room="a", by="", created=1, token="t", url="u")])
    ),
    '{"type":"edited","room":"tea","position":7,"change":4,"text":"Hello","by":"Ann","account":"a"}'
    "": events.Edited(room="tea", position=7, change=4, text="Hello", by="Ann", account="a"),
    '{"type":"redacted","room":"tea","position":7,"change":5,"by":"Ann"}': events.Redacted(
        room="tea", position=7, change=5, by="Ann"
    ),
    '{"type":"found","posts":[{"type":"post","room":"tea","position":7,"author":"hook","time":5,'
    '"text":"","change":5,"redacted":true,"hook":true}],"complete":true,"before":5}': events.Found(
        posts=[Post("tea", 7, "hook", 5, "", change=5, redacted=True, hook=True)],
        complete=True,
        before=5,
    ),
}
