"""Doors: the ways in. Each takes connections and hands a session its link."""
