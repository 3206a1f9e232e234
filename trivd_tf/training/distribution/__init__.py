"""Replicas: strategies, workers, sharing out batches."""
