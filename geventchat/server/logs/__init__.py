"""The server's console and its log, written by a native thread."""
