"""What networks cost: multiply-accumulates and the table of all networks."""
