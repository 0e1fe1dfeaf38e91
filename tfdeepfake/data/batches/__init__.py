"""Prepared data sets to `tf.data` batches: opened by `prepared`, read by `records`, batched by `pipeline`."""
