"""Distribution: strategies, devices, workers and batches of replicas."""
