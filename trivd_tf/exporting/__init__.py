"""A generator as a SavedModel: its graph and signatures, checks, warm-up, model card."""

from trivd_tf.exporting.export import ExportResult, export_model

__all__ = ["ExportResult", "export_model"]
