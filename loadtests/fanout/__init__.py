"""Fan-out benchmark: geventchat, two reference servers and brokers on the same work."""
