"""The compiled form of a saved model folder: `choice.load_for_verdict` is the way in."""
