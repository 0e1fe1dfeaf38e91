"""Published checkpoints by name, and the one way from their file to a saved model folder: `convert.convert`."""
