"""How kernels start. A new object for each layer: one for all would give every kernel of a shape the same values, drawn
by a seed of the import instead of the run's.
"""

from keras import initializers


def he_by_outputs():
    """He et al. (arXiv:1502.01852) by outputs, as the published convolutional networks start."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def small_normal():
    """Normal, deviation 0.02, cut at two deviations, as the published transformers start."""
    return initializers.TruncatedNormal(stddev=0.02)
