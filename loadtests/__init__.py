"""Load tests: Locust users, shapes and a dashboard; scenarios, benchmark, capacity, attacks."""
