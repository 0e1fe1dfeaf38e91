"""Files to verdicts: `judging.judge` for one, `batch.judge_many` for many with their page."""
