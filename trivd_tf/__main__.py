"""`python -m trivd_tf` is the `trivd` command."""

import sys

from trivd_tf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
