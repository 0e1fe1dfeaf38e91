"""From a video file to examples: decoding, faces, crops, flow, TFRecord batches."""
