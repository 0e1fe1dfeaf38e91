"""A network and prepared data to the scores table: `score.score_data`; the table itself: `table`."""
