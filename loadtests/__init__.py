"""Load tests: Locust users, shapes and the fan-out benchmark (to come)."""
