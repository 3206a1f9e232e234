"""Model directories: run record, evaluation weights, best model, and opening a run."""
