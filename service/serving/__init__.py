"""Predictions: raw rows in, answers out, from the weights that a run keeps."""
