"""What libav does not tell of single formats: their own blocks, read here."""
