"""What both ends agree on: frames, messages, names, and the ways things go wrong.

Nothing here does I/O, knows a clock or imports gevent, so all of it can be tested as functions.
The words are explained in docs/protocol.md.
"""
