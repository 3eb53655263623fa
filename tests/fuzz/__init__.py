"""Fuzzing: whatever bytes come in, nothing but the declared errors comes out.

`make fuzz` lets Atheris look for such bytes; the corpus it leaves runs with every test.
"""
