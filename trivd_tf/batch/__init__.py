"""Batch prediction of many clips with Apache Beam, for `tools/batch_predict.py`."""

from trivd_tf.batch.inputs import PreparedClips, VideoFiles
from trivd_tf.batch.pipeline import BatchOptions, predict_batch

__all__ = ["BatchOptions", "PreparedClips", "VideoFiles", "predict_batch"]
