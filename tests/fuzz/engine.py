"""Atheris on one target: `python -m tests.fuzz.engine TARGET [options of libFuzzer]`."""

import shlex
import sys

import atheris

# Modules imported here are instrumented: the fuzzer sees their branches.
with atheris.instrument_imports(include=["geventchat", "tests.fuzz.targets"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    # To merge a corpus, libFuzzer runs itself again by its first word, through a shell.
    sys.argv[0] = shlex.join([sys.executable, "-m", "tests.fuzz.engine", name])
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
