"""Utilities shared by all packages: errors, progress, storage and pixels."""
