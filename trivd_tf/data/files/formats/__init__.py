"""Parsers of file formats, for information that libav does not report."""
