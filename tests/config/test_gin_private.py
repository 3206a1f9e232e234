"""gin's private parts are as `trivd_tf/config/gin_private.py` expects them.

Where a test fails after an upgrade of gin-config: look in gin/config.py for what took the place of
the name in the message, and change `gin_private.py` alone.
"""

import io

import gin
import pytest

from trivd_tf.config import gin_private


@pytest.fixture(autouse=True)
def own_gin():
    readers = list(gin.config._FILE_READERS)
    gin.clear_config()
    yield
    gin.clear_config()
    gin.config._FILE_READERS[:] = readers


def test_the_readers_are_a_list_that_parse_config_file_asks():
    asked = []

    def known(name):
        asked.append(name)
        return name == "a"

    gin_private.read_files_with(lambda name: io.StringIO("value = 1"), known)
    gin.parse_config_file("a")
    assert asked[0] == "a", "gin.config._FILE_READERS: pairs of (reader, is_readable)"
    assert gin.query_parameter("value/macro.value") == 1
    with pytest.raises(OSError, match="b"):
        gin.parse_config_file("b")


def test_parsed_and_operative_bindings_are_by_scope_and_full_selector():
    from fractions import Fraction

    gin.parse_config(
        "from __gin__ import dynamic_registration\nimport fractions\nsome = 3\n"
        "inner/fractions.Fraction.numerator = %some"
    )
    parsed = gin_private.parsed_bindings()
    where = "gin.config._CONFIG: (scope, full selector) -> parameter -> value"
    assert set(parsed) == {("some", "gin.macro"), ("inner", "fractions.Fraction")}, where
    assert parsed["some", "gin.macro"] == {"value": 3}, where
    made = gin.get_configurable("inner/fractions.Fraction")
    with gin.config_scope("inner"):
        made()
    operative = gin_private.operative_bindings()
    where = "gin.config._OPERATIVE_CONFIG: as _CONFIG, of what calls took"
    assert operative["inner", "fractions.Fraction"]["numerator"] is not None, where
    gin_private.forget(Fraction)
    assert set(gin_private.parsed_bindings()) == {("some", "gin.macro")}
