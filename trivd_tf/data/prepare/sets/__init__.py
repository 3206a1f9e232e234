"""How each data set is laid out at its source."""
