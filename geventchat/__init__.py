"""geventchat: a chat server for many clients, on gevent. This module imports nothing."""

__version__ = "0.1.0"
