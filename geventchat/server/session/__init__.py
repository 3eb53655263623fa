"""Sessions: one client from its first byte to goodbye, and what its requests do."""
