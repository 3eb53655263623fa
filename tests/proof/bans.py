"""Bans nicks on one node, and tries to get in under them on all."""

import time
from pathlib import Path
from typing import Final

from geventchat.client import NotGeventchat
from tests.proof.log import Chat, at
from tests.proof.stores.base import Scene
from tests.proof.talk import FAILURES

IN_FORCE_SECONDS: Final = 2.0


class Bans:
    """The bans of a run. To be used while no fault lasts."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self._operator_file = folder / "operator"
        self._scene = scene
        self._number = 0

    def try_one(self) -> None:
        """Ban a nick on one node; note each node that gives it to somebody afterwards."""
        self._number += 1
        nick, first = f"eve{self._number}", self._scene.dice.choice(self._scene.nodes)
        token = self._operator_file.read_text("utf-8").strip()
        try:
            with at(first.host):
                chat = Chat(first.port, "olga", rooms=(), resume=False, token=token)
            chat.admin("ban", nick, target_type="nick")
            banned = time.monotonic()
            chat.close()
        except (*FAILURES, OSError, NotGeventchat):
            return  # nobody was told that it holds
        self._scene.note("banned", nick)
        time.sleep(max(banned + IN_FORCE_SECONDS - time.monotonic(), 0))
        for node in self._scene.nodes:
            if self._gets(node.host, node.port, nick):
                self._scene.note("unbanned", f"{nick} was banned on {first.host}, not {node.host}")

    def _gets(self, host: str, port: int, nick: str) -> bool:
        try:
            with at(host), Chat(port, "eve", nick=nick, rooms=(), resume=False) as chat:
                return chat.nick == nick
        except (*FAILURES, OSError, NotGeventchat):
            return False
