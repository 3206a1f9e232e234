"""Videos in a folder: decoding, clips, cache."""
