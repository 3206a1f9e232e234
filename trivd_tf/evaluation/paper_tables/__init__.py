"""The paper's tables with what was measured."""
