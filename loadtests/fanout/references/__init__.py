"""Reference servers: minimal relays of the original protocol."""
