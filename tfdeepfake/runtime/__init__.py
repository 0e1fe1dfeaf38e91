"""Networks on the CPU without TensorFlow: `compiled` is the compiled form of a saved model folder."""
