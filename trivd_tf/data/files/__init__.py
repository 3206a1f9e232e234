"""Videos in a folder: decoding, clips and cache."""
