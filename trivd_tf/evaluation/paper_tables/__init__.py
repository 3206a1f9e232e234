"""The paper's tables, filled with measured results."""
