"""Reference servers: how little code a relay of the original protocol takes, and what it costs."""
