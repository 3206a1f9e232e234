"""Which file a name stands for: beside the including file first, and nothing silently hidden."""

import logging
import sys

import pytest

from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.config.statements import Reader

PRELUDE = "from __gin__ import dynamic_registration\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with a subfolder."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def macro(path, value, *includes):
    lines = "".join(f"include '{name}'\n" for name in includes)
    path.write_text(f"{PRELUDE}{lines}{path.stem} = {value}\n")


def values(path):
    """What the macros stand for; our reader and gin's own have to agree."""
    reader = Reader()
    reader.read_file(path)
    found = {name: value for name, (value, _) in reader.statements.macros.items()}
    config.gin.clear_config(clear_constants=True)
    config.gin.parse_config_file(str(path))
    by_gin = {
        scope: parameters["value"]
        for (scope, selector), parameters in config.gin.config._CONFIG.items()
        if selector == "gin.macro"
    }
    assert found == by_gin
    return found


def test_beside_the_including_file_comes_first(here):
    macro(here / "sub/a.gin", 1, "b.gin")
    macro(here / "sub/b.gin", 2, "c")
    macro(here / "sub/c.gin", 3)
    for name in ("b.gin", "c.gin"):
        macro(here / name, 99)  # in the working directory: another file of that name
    assert values(here / "sub/a.gin") == {"a": 1, "b": 2, "c": 3}


def test_the_working_directory_comes_next_and_then_the_package(here):
    macro(here / "sub/a.gin", 1, "sub/b.gin")
    macro(here / "sub/b.gin", 2)
    assert values(here / "sub/a.gin") == {"a": 1, "b": 2}


def test_a_file_of_the_package_never_includes_a_local_one(here, caplog):
    (here / "models").mkdir()
    macro(here / "models/trivd_gan_fp.gin", 99)
    parsed = config.parse(["quickstart"], data_dir=here)
    assert parsed.build().generator is not None
    assert caplog.records == []


def test_a_local_file_that_hides_one_of_the_package_is_reported(here, caplog):
    macro(here / "quickstart.gin", 1)
    with caplog.at_level(logging.WARNING):
        assert config.find_gin_file("quickstart").name == "quickstart.gin"
    assert "comes with a runs/quickstart.gin of this name too" in caplog.text
    caplog.clear()
    macro(here / "sub/a.gin", 1, "quickstart.gin")
    assert values(here / "sub/a.gin") == {"a": 1, "quickstart": 1}
    assert "quickstart.gin" in caplog.text


def test_only_a_file_that_includes_itself_is_said_to(here):
    macro(here / "small.gin", 1, "small.gin")  # there is a training/small.gin in the package
    reader = Reader()
    reader.read_file(here / "small.gin")
    assert "small" in reader.statements.macros
    macro(here / "mine.gin", 1, "mine.gin")
    with pytest.raises(InputError, match=r"mine\.gin includes itself"):
        Reader().read_file(here / "mine.gin")
    macro(here / "x.gin", 1, "y.gin")
    macro(here / "y.gin", 1, "x.gin")
    with pytest.raises(InputError, match=r"x\.gin includes y\.gin includes x\.gin"):
        Reader().read_file(here / "x.gin")


def test_a_mark_before_utf8_is_read_and_other_encodings_are_named(here):
    (here / "a.gin").write_text(f"{PRELUDE}a = 'café'\n", encoding="utf-8-sig")
    assert values(here / "a.gin") == {"a": "café"}
    (here / "b.gin").write_text(f"{PRELUDE}b = 1\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"b\.gin cannot be read"):
        Reader().read_file(here / "b.gin")


@pytest.mark.parametrize(
    ("lines", "circle"),
    [
        ("N = %N\n", "%N = %N"),
        ("N = %M\nM = [1, %N]\n", "%N = %M = %N"),
        ("A = %N\nN = {'key': %M}\nM = (%N,)\n", "%N = %M = %N"),
    ],
)
def test_macros_that_stand_for_each_other(here, lines, circle):
    (here / "a.gin").write_text(PRELUDE + lines)
    with pytest.raises(InputError) as refused:
        config.parse(["quickstart", "a.gin"], data_dir=here)
    assert circle in str(refused.value)
    assert "a.gin, line " in str(refused.value)


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_a_number_that_is_too_large_is_none(here, value):
    name = "training.TrainingOptions.generator_learning_rate"
    with pytest.raises(InputError, match="too large"):
        config.parse(["quickstart"], [f"{name} = {value}"], data_dir=here)


def test_a_module_beside_is_advised_to_be_made_importable(here, monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (here / "mine_for_gin.py").write_text("")
    (here / "a.gin").write_text(PRELUDE + "import mine_for_gin\n")
    with pytest.raises(InputError, match=r"mine_for_gin lies in the current folder.*PYTHONPATH=\."):
        Reader().read_file(here / "a.gin")


def test_a_module_that_breaks_while_it_is_imported_is_one_line(here, monkeypatch):
    (here / "breaks_for_gin.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(here))
    (here / "a.gin").write_text(PRELUDE + "import breaks_for_gin\n")
    with pytest.raises(InputError, match=r"breaks_for_gin cannot be imported \(ZeroDivisionError"):
        Reader().read_file(here / "a.gin")
