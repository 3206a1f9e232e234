"""Every mistake in a configuration is one line that names the binding and what would do."""

import importlib.util
import sys
from pathlib import Path

import pytest

from trivd_tf import config
from trivd_tf.base.errors import InputError

# A small project in the shape of the real one, so that these tests need no TensorFlow.
LIBRARY = """
import dataclasses, functools, inspect
from collections.abc import Callable, Sequence
from typing import Literal
from trivd_tf.base.errors import InputError

@dataclasses.dataclass(frozen=True)
class Clip:
    size: int = 64
    stride: int = 1
    def __post_init__(self):
        if self.size < 1:
            raise InputError(f"size must be positive, received {self.size}")

class Source:
    pass

@dataclasses.dataclass(frozen=True)
class Folder(Source):
    data_dir: str
    shuffle: bool = True

@dataclasses.dataclass(frozen=True)
class Digits(Source):
    count: int = 2
    speeds: Sequence[float] = (1.0, 2.0)
    limits: tuple[int, int] = (0, 1)

class Network:
    def __init__(self, *, width: int = 8, unit: Literal["gru", "tsru"] = "gru", frames: int):
        pass

def network(**options):
    return functools.partial(Network, **options)

network.__signature__ = inspect.signature(Network)

@dataclasses.dataclass(frozen=True)
class Training:
    steps: int
    rate: "float | None" = None

@dataclasses.dataclass(frozen=True)
class Experiment:
    clip: Clip
    data: Source
    network: Callable[..., Network]
    training: Training
    other_clip: Clip = Clip()
    mixture: "Mixture | None" = None
    callback: Callable[..., int] | None = None
    def __post_init__(self):
        if self.callback is not None:
            self.callback(count=1)

@dataclasses.dataclass(frozen=True)
class Mixture:
    source: Source

def counter(count=0, start=0):
    return start + count

NOT_CALLABLE = 3
"""

GOOD = """\
from __gin__ import dynamic_registration
from trivd_tf_fake import library as lib

SIZE = 32

lib.Experiment:
    clip = @lib.Clip()
    other_clip = @other/lib.Clip()
    data = @lib.Digits()
    network = @lib.network()
    training = @lib.Training()
lib.Clip.size = %SIZE
other/lib.Clip.stride = 2
lib.Digits.count = 3
lib.network.unit = "tsru"
lib.Training.steps = 5
"""


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    """The module `trivd_tf_fake.library`, importable as the real ones are."""
    folder = tmp_path_factory.mktemp("fake") / "trivd_tf_fake"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "library.py").write_text(LIBRARY)
    sys.path.insert(0, str(folder.parent))
    yield importlib.import_module("trivd_tf_fake.library")
    sys.path.remove(str(folder.parent))


@pytest.fixture
def good_file(tmp_path) -> Path:
    path = tmp_path / "good.gin"
    path.write_text(GOOD)
    return path


@pytest.fixture
def build(library):
    def parse_and_build(files, bindings=(), **options):
        parsed = config.parse(files, bindings, root=library.Experiment, **options)
        return parsed, parsed.build()

    return parse_and_build


def test_builds_what_the_file_says(build, good_file, library):
    _, experiment = build([good_file])
    assert experiment.clip == library.Clip(size=32)
    assert experiment.other_clip == library.Clip(size=32, stride=2)
    assert experiment.data == library.Digits(count=3)
    assert experiment.network.keywords == {"unit": "tsru"}
    assert experiment.training == library.Training(steps=5)


def test_bindings_win_over_files_and_later_files_over_earlier(build, good_file, tmp_path):
    later = tmp_path / "later.gin"
    later.write_text(
        f'include "{good_file}"\n'
        "from __gin__ import dynamic_registration\n"
        "from trivd_tf_fake import library\n"
        "library.Digits.count = 7\n"
    )
    _, experiment = build([good_file, later], ["lib.Training.steps = 6", "SIZE = 16"])
    assert (experiment.data.count, experiment.training.steps) == (7, 6)
    assert experiment.clip.size == 16


def test_include_finds_files_by_name_and_logs_nothing(build, good_file, monkeypatch, caplog):
    folder = good_file.parent / "gin"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "wide.gin").write_text(
        "from __gin__ import dynamic_registration\n"
        "from trivd_tf_fake import library\n"
        "library.network.width = 99\n"
    )
    monkeypatch.setattr(config.files, "gin_directory", lambda: folder)
    good_file.write_text(GOOD + 'include "models/wide.gin"\n')
    _, experiment = build([good_file])
    assert experiment.network.keywords["width"] == 99
    assert not caplog.records


def test_a_configuration_does_not_leak_into_the_next(build, good_file):
    build([good_file], ["lib.Digits.count = 9"])
    _, experiment = build([good_file])
    assert experiment.data.count == 3


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("lib.Training.stpes = 3", ["lib.Training.stpes", "'steps'"]),
        ("lib.Trainign.steps = 3", ["lib.Trainign", "'Training'"]),
        ("lab.Training.steps = 3", ["'lab'", "'lib'"]),
        ("Training.steps = 3", ["Training", "lib.Training"]),
        ("lib.NOT_CALLABLE.x = 3", ["lib.NOT_CALLABLE", "int"]),
        ("lib.Experiment.data = @lib.Digit()", ["lib.Digit", "'Digits'"]),
        ("lib.Clip.size = %SISE", ["%SISE", "'SIZE'"]),
        ("otter/lib.Clip.stride = 3", ["otter/lib.Clip.stride", "'other'"]),
        ("scope/lib.Digits.count = 3", ["scope/lib.Digits.count", "leave the scope out"]),
        ("lib.Folder.shuffle = False", ["lib.Folder.shuffle", "@lib.Folder()"]),
        ("SISE = 3", ["SISE", "'SIZE'"]),
        ("lib.Clip.stride = '2'", ["lib.Clip.stride", "expected int", "received str"]),
        ("lib.Clip.stride = 2.0", ["lib.Clip.stride", "expected int", "received float"]),
        ("lib.Clip.stride = True", ["lib.Clip.stride", "expected int", "received bool"]),
        ("SIZE = 'big'", ["lib.Clip.size", "%SIZE", "expected int", "received str"]),
        ("lib.Training.rate = 'fast'", ["lib.Training.rate", "float or None"]),
        ("lib.Digits.speeds = 'abc'", ["lib.Digits.speeds", "Sequence[float]"]),
        ("lib.Digits.speeds = [1.0, 'a']", ["lib.Digits.speeds", "Sequence[float]"]),
        ("lib.Digits.limits = [1, 2]", ["lib.Digits.limits", "round brackets"]),
        ("lib.network.unit = 'gur'", ["lib.network.unit", "'gru' or 'tsru'", "nearest is 'gru'"]),
        ("lib.Experiment.data = @lib.Clip()", ["lib.Experiment.data", "Source", "Clip"]),
        ("lib.Experiment.data = @lib.Digits", ["lib.Experiment.data", "parentheses"]),
        ("lib.Training.steps = %gin.REQUIRED", ["lib.Training.steps", "REQUIRED"]),
        ("lib.Clip.size = 0", ["Clip", "size must be positive, received 0"]),
        ("lib.network.unit = tsru", ["lib.network.unit = tsru", "quotes"]),
        ("lib.network.unit", ["lib.network.unit", "name = value"]),
        ("lib.Digits.limits = (1,", ["lib.Digits.limits = (1,"]),
        ("include 'nothing.gin'", ["nothing.gin", "does not exist"]),
        ("from trivd_tf_fake import libary", ["trivd_tf_fake.libary", "'library'"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(build, good_file, binding, expected):
    with pytest.raises(InputError) as caught:
        build([good_file], [binding])
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in expected if part not in message] == [], message


def test_a_mistake_in_a_file_is_placed(build, good_file):
    good_file.write_text(GOOD + "lib.Clip:\n    size = 3\n    stirde = 2\n")
    number = len(good_file.read_text().splitlines())
    with pytest.raises(InputError, match=rf"good\.gin, line {number}: .*'stride'"):
        build([good_file])


def test_missing_values_name_the_binding_and_for_data_the_flag(build, good_file):
    good_file.write_text(GOOD.replace("lib.Training.steps = 5\n", ""))
    with pytest.raises(InputError, match=r"lib\.Training\.steps has no value"):
        build([good_file])
    good_file.write_text(GOOD.replace("Digits", "Folder").replace("lib.Folder.count = 3\n", ""))
    with pytest.raises(InputError, match=r"lib\.Folder\.data_dir has no value: give --data_dir"):
        build([good_file])


def test_missing_values_are_looked_for_in_the_scope_of_the_call(build, good_file):
    good_file.write_text(
        GOOD
        + "lib.Experiment.mixture = @mixed/lib.Mixture()\n"
        + "lib.Mixture.source = @lib.Digits()\n"
        + "mixed/lib.Mixture.source = @lib.Folder()\n"
    )
    with pytest.raises(InputError, match=r"lib\.Folder\.data_dir has no value"):
        build([good_file])
    _, experiment = build([good_file], ["mixed/lib.Folder.data_dir = 'x'"])
    assert experiment.mixture.source.data_dir == "x"


def test_a_binding_that_the_code_overrides_is_refused(build, good_file):
    build([good_file], ["lib.Experiment.callback = @lib.counter", "lib.counter.start = 3"])
    with pytest.raises(InputError, match=r"lib\.counter\.count: .* sets count itself"):
        build([good_file], ["lib.Experiment.callback = @lib.counter", "lib.counter.count = 3"])


def test_data_dir_is_bound_to_the_selected_source(build, good_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good_file.write_text(GOOD.replace("Digits", "Folder").replace("lib.Folder.count = 3\n", ""))
    _, experiment = build([good_file], data_dir="videos")
    assert experiment.data.data_dir == str(tmp_path / "videos")
    _, experiment = build([good_file], data_dir="~/videos")
    assert experiment.data.data_dir == str(Path.home() / "videos")


def test_an_address_as_data_dir_stays_as_it_is(build, good_file):
    good_file.write_text(GOOD.replace("Digits", "Folder").replace("lib.Folder.count = 3\n", ""))
    _, experiment = build([good_file], data_dir="gs://bucket/kinetics")
    assert experiment.data.data_dir == "gs://bucket/kinetics"


def test_data_dir_for_a_source_without_one_is_refused(build, good_file):
    with pytest.raises(InputError, match=r"--data_dir x: lib\.Digits reads no folder"):
        build([good_file], data_dir="x")


def test_the_saved_configuration_builds_the_same(build, good_file, tmp_path):
    parsed, experiment = build([good_file], ["lib.Digits.speeds = [0.5]"])
    saved = tmp_path / "run" / "config.gin"
    parsed.save(saved)
    again_parsed, again = build([saved])
    assert again.data == experiment.data
    assert again.clip == experiment.clip
    assert again.other_clip == experiment.other_clip
    assert again.network.keywords["unit"] == "tsru"
    assert config.bindings_in(again_parsed.operative_text) == config.bindings_in(
        parsed.operative_text
    )


def test_the_experiment_of_a_run_is_loaded(build, good_file, tmp_path, library, monkeypatch):
    monkeypatch.setattr(config, "_default_root", lambda: library.Experiment)
    parsed, experiment = build([good_file])
    parsed.save(tmp_path / "run" / "config.gin")
    assert config.load_run(tmp_path / "run").data == experiment.data
    with pytest.raises(InputError, match=r"is not a model directory: it holds no config\.gin"):
        config.load_run(tmp_path / "none")


def test_changes_between_saved_configurations_are_named(build, good_file):
    old, _ = build([good_file])
    new, _ = build([good_file], ["lib.network.width = 16", "lib.Training.steps = 6"])
    assert config.changed_bindings(old.operative_text, new.operative_text) == {
        "trivd_tf_fake.library.Training.steps": ("5", "6"),
        "trivd_tf_fake.library.network.width": ("8", "16"),
    }


def test_a_file_without_dynamic_registration_is_explained(build, tmp_path):
    path = tmp_path / "bare.gin"
    path.write_text("lib.Training.steps = 3\n")
    with pytest.raises(InputError, match="must begin with 'from __gin__ import"):
        build([path])


def test_a_file_that_includes_itself_is_refused(build, tmp_path):
    path = tmp_path / "loop.gin"
    path.write_text(f'include "{path}"\n')
    with pytest.raises(InputError, match="includes itself"):
        build([path])


def test_a_configuration_without_the_root_is_explained(build, tmp_path):
    path = tmp_path / "half.gin"
    path.write_text("\n".join(GOOD.splitlines()[:2]) + "\nlib.Training.steps = 3\n")
    with pytest.raises(InputError, match=r"half\.gin: nothing there configures"):
        build([path])


@pytest.mark.parametrize("name", ["quickstart", "quickstart.gin", "runs/quickstart"])
def test_bare_names_are_looked_up_in_gin(name, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.find_gin_file(name) == repository / "gin" / "runs" / "quickstart.gin"


def test_a_path_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.gin").write_text("")
    assert config.find_gin_file("quickstart.gin") == Path("quickstart.gin")


def test_a_name_in_two_folders_is_that_of_the_run(repository):
    assert config.find_gin_file("bouncing_digits") == (
        repository / "gin" / "runs" / "bouncing_digits.gin"
    )


def test_an_unknown_file_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"'quikstart' does not exist; .*'quickstart'"):
        config.find_gin_file("quikstart")


def test_gin_files_never_shadow_the_library(repository):
    assert not list((repository / "gin").glob("**/*.py"))
    assert importlib.util.find_spec("gin").origin.endswith("gin/__init__.py")
