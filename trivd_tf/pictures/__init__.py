"""Video in and out, figures, motion fields."""
