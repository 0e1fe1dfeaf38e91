"""LiteRT networks on the CPU, without TensorFlow: `network` runs them, `write` makes small ones from their arrays."""
