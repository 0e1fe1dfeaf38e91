"""Where a network looks: maps over the frames, how good they are, and features beside each other."""
