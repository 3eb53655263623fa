"""Fan-out side by side: geventchat, two ways to do without it, and brokers, on the same work."""
