"""Weights that are left out during training: masks, their refresh on the device, group Lasso."""
