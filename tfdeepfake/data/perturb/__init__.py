"""Test-only perturbations, severity 1 to 5: `operations` on frames, `files` on videos and folders."""

from tfdeepfake.data.perturb.operations import PERTURBATIONS, SEVERITIES, even, is_noop, perturb, value_of

__all__ = ["PERTURBATIONS", "SEVERITIES", "even", "is_noop", "perturb", "value_of"]
