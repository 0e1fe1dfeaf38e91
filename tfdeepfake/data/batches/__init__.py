"""Prepared data sets to `tf.data` batches: opened in `prepared`, read in `records`, batched in `pipeline`, augmented."""
