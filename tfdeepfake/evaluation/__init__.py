"""Scores to metrics with intervals and coverage: `evaluate.evaluate` on a table, `run.evaluate_run` on a run."""
