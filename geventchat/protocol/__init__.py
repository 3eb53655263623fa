"""The protocol shared by server and client: framing, messages, names and errors.

No I/O, no clock and no gevent, so everything can be tested as pure functions. Documented in
docs/protocol.md.
"""
