"""Files of weights, read without running anything in them, and assigned strictly by name and shape."""
