"""Fuzzing: no input raises anything but the declared errors.

`make fuzz` runs Atheris to find such input; its corpus runs with the tests.
"""
