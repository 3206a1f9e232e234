"""Top-level Python API: `trivd_tf.load` and `trivd_tf.train`."""
