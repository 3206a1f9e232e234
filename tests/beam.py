"""What the tests that run Apache Beam share."""

import importlib.util

import pytest

# For `pytestmark`: skipped where Beam is not installed, and quiet about what it warns of.
NEEDS_BEAM = [
    pytest.mark.skipif(
        importlib.util.find_spec("apache_beam") is None, reason="needs the [beam] extra"
    ),
    pytest.mark.filterwarnings("ignore:::apache_beam.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
