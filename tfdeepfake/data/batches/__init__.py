"""Prepared data sets to `tf.data` batches: `prepared.open_data`, `pipeline`, augmentation."""
