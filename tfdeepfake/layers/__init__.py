"""Blocks with at least two users among the networks."""
