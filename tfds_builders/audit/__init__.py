"""Leaks between splits and data sets: `compare.audit`."""
