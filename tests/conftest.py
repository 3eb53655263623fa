"""Tests run unpatched, with gevent imported by name; the server as a whole runs in a process."""

import os

from hypothesis import settings

# The same examples every time: a test that fails here fails on every machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# No test uses a default port.
os.environ["GEVENTCHAT_ADMIN"] = "none"
os.environ["GEVENTCHAT_WEB"] = "none"
