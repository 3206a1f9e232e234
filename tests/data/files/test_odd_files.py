"""Every odd file shows the right frames or is refused in a line: see odd_files.py."""

import pytest

from tests.data.files.odd_files import ODD, outcome


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.kind)
def test_an_odd_file_is_right_or_refused(odd, tmp_path):
    text, right = outcome(odd, tmp_path / "files")
    assert right, text
    assert "Error" not in text
