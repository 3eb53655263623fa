"""Load tests: Locust users, shapes and a dashboard; bars, churn and the fan-out benchmark."""
