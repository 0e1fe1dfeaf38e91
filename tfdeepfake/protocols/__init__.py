"""Tables of many models and data: a resumable folder of scores, each cell with interval, counts and coverage."""
