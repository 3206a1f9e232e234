"""Keras layers: spectral norm, batch norm, residual blocks and recurrent units."""
