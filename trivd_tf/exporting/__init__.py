"""Exports a generator as a SavedModel: graph, signatures, checks, warm-up and model card."""

from trivd_tf.exporting.export import ExportResult, export_model

__all__ = ["ExportResult", "export_model"]
