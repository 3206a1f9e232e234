"""One form for each size, and what is refused."""

import pytest

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import (
    checked_model_size,
    checked_size,
    from_height_width,
    height_width,
    size_text,
)


def test_a_square_is_one_number_however_it_was_written():
    assert checked_model_size("size", 64) == 64
    assert checked_model_size("size", (64, 64)) == 64
    assert checked_model_size("size", [96, 160]) == (96, 160)
    assert height_width(64) == (64, 64)
    assert height_width([96, 160]) == (96, 160)
    assert from_height_width(*height_width((96, 160))) == (96, 160)
    assert size_text((96, 160)) == "96 x 160"


@pytest.mark.parametrize(
    "size", ["64", 7, (64,), (64, 64, 3), (64.0, 64), (64, True), None, (0, 8)]
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(InputError, match=r"lib\.size must be an integer .*received"):
        checked_size("lib.size", size)


@pytest.mark.parametrize(
    ("size", "nearest"), [(60, 64), ((90, 160), (88, 160)), ((97, 159), (96, 160))]
)
def test_models_take_multiples_of_8_and_the_nearest_is_named(size, nearest):
    with pytest.raises(InputError) as error:
        checked_model_size("size", size)
    assert f"such as {nearest!r}; received {size!r}" in str(error.value)
