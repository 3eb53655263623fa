"""The Chat tab of Locust's web UI, and the same figures as CSV and in the log."""
