"""What `tools/mutate.py` takes for a test that noticed a change."""

import pytest

from tools import mutate


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("FAILED tests/a.py::test_b - AssertionError: ", ("a.py::test_b", True)),
        ("FAILED tests/a.py::test_b[x y] - assert 1 == 2", ("a.py::test_b[x y]", True)),
        ("FAILED tests/a.py::test_b - Failed: DID NOT RAISE <class 'E'>", ("a.py::test_b", True)),
        ("FAILED tests/a.py::test_b - ValueError: shapes", ("a.py::test_b", False)),
        ("ERROR tests/a.py::test_b - AssertionError: in a fixture", ("a.py::test_b", False)),
        ("FAILED tests/a.py::test_b", ("a.py::test_b", False)),
        ("2 passed in 0.1 s", ("", False)),
    ],
)
def test_only_a_failed_assertion_of_a_test_counts(line, expected):
    assert mutate.failed_test(f"...\n{line}\n1 failed") == expected


def test_every_change_still_applies():
    """A change whose fragment is gone would never be tried again."""
    for one in mutate.MUTATIONS:
        text = (mutate.ROOT / "trivd_tf" / one.file).read_text(encoding="utf-8")
        assert one.applied(text) != text, one.name
    assert len(mutate.MUTATIONS) >= 60
