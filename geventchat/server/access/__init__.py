"""Access: who may connect, speak and decide, and how often."""
