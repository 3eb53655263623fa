"""The web door: the page and its files, and WebSocket beside them."""
