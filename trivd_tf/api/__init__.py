"""What `trivd_tf` itself offers to Python: `trivd_tf.load` and `trivd_tf.train`."""
