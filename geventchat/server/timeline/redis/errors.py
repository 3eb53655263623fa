"""What it means that an engine did not answer a command with a result."""


class EngineError(Exception):
    """A command was not answered with a result. `text` says why, without the password."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Rejected(EngineError):
    """The engine answered with an error."""

    @property
    def code(self) -> str:
        """The first word of the text, such as `OOM`."""
        return self.text.partition(" ")[0]


class Away(EngineError):
    """The command was surely not executed: it was not sent, or the engine executes none now."""

    def __init__(self, text: str, answer: Rejected | None = None) -> None:
        super().__init__(text)
        self.answer = answer
        """The error with which the engine answered, if it is one."""


class InDoubt(EngineError):
    """The command was sent and not answered: it may have been executed, and may yet be."""
