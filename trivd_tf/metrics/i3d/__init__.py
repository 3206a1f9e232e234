"""I3D, the network behind FVD and the Inception Score."""
