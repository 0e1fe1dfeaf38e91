"""Initial values of kernels. Each layer gets a new object: a common one would give all kernels of a shape equal values,
by a seed from the import instead of the run's.
"""

from keras import initializers


def he_by_outputs():
    """He et al. (arXiv:1502.01852) by outputs, as the published convolutional networks start."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def small_normal():
    """Normal, deviation 0.02, cut at two deviations, as the published transformers start."""
    return initializers.TruncatedNormal(stddev=0.02)
