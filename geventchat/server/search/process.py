"""A process beside the server, which is asked and answers, one question at a time.

What runs in it cannot hold the server's interpreter: a thread that indexes does, for some 19 us of
each post, and the messages of others wait for it. It is started with `posix_spawn`, which runs no
Python between fork and exec, so native threads of the server do not matter.
"""

import os
import socket as sockets
import sys
import time
from contextlib import ExitStack, suppress
from signal import SIGKILL
from typing import Final, NamedTuple

import gevent
from gevent.event import AsyncResult
from gevent.queue import Queue
from gevent.socket import socket, socketpair

END_SECONDS: Final = 1.0
"""How long a process may take to end by itself."""
_ENDS: Final = "the server ends"
_POLL_SECONDS: Final = 0.005
_CHUNK_BYTES: Final = 64 << 10


class _Question(NamedTuple):
    line: bytes
    seconds: float
    answer: "AsyncResult[bytes]"


class Process:
    """Runs a module as a program; starts it with the first question, and again if it has ended.

    The program reads a line from its standard input, writes a line to its standard output, and
    ends when there is no further input, as when the server was killed.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._questions: Queue[_Question] = Queue()
        self._closed = False
        self._pid = 0
        self._socket: socket | None = None
        self._asking: gevent.Greenlet[[], None] | None = None

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Return the answer to a line. Waits.

        Raises OSError if the program ended, or took longer than `seconds` and so was ended.
        """
        if self._closed:
            raise ConnectionError(_ENDS)
        if self._asking is None:
            self._asking = gevent.spawn(self._ask_all)
        question = _Question(line, seconds, AsyncResult())
        self._questions.put(question)
        answer = question.answer.get()
        assert answer is not None
        return answer

    def close(self) -> None:
        """End the program: by itself if it can within `END_SECONDS`. Waits.

        Questions that wait raise OSError.
        """
        self._closed = True
        if self._asking is not None:
            self._asking.kill()
        self._end()

    def _ask_all(self) -> None:
        question: _Question | None = None
        try:
            for question in self._questions:
                late = TimeoutError(f"no answer within {question.seconds:g} s")
                try:
                    with gevent.Timeout(question.seconds, late):
                        answer = self._answer(question.line)
                except OSError as error:
                    self._end(error is not late)
                    question.answer.set_exception(error)
                else:
                    question.answer.set(answer)
        finally:
            ended = ConnectionError(_ENDS)
            waiting = [question] if question is not None else []
            while self._questions.qsize():
                waiting.append(self._questions.get_nowait())
            for each in waiting:
                if not each.answer.ready():
                    each.answer.set_exception(ended)

    def _answer(self, line: bytes) -> bytes:
        if self._socket is None:
            self._start()
        assert self._socket is not None
        self._socket.sendall(line + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            received = self._socket.recv(_CHUNK_BYTES)
            if not received:
                raise ConnectionError("the process has ended")
            answer += received
        return bytes(answer)

    def _start(self) -> None:
        ours, theirs = socketpair()
        with ExitStack() as unless_started, theirs:
            unless_started.callback(ours.close)
            number = theirs.fileno()
            os.set_blocking(number, True)  # gevent is not in the program
            self._pid = os.posix_spawn(
                sys.executable,
                self._command,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, number, each) for each in (0, 1)],
                setpgroup=0,  # the Ctrl-C of a terminal is for the server
            )
            unless_started.pop_all()
        self._socket = ours

    def _end(self, by_itself: bool = True) -> None:
        """End the program and take its exit code, so that it does not stay as a zombie."""
        if self._socket is None:
            return
        with self._socket, suppress(OSError):
            self._socket.shutdown(sockets.SHUT_WR)
        self._socket = None
        if not (by_itself and self._has_ended(END_SECONDS)):
            os.kill(self._pid, SIGKILL)
            self._has_ended(END_SECONDS)

    def _has_ended(self, seconds: float) -> bool:
        """Wait for the end; return whether it came in time."""
        end = time.monotonic() + seconds
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                return False
            gevent.sleep(_POLL_SECONDS)
        return True
