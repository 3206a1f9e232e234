"""Reads and writes videos; draws figures and motion fields."""
