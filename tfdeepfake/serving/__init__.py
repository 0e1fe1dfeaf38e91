"""Deployment: SavedModel export for TF Serving."""
