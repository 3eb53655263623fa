"""Attacks, and what they cost the other clients."""
