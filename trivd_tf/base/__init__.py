"""Errors, progress, storage and pixels: what every other room may use."""
