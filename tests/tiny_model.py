"""One tiny generator and one export of it for all tests: tracing is what takes time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.seeds import set_seeds
from trivd_tf.exporting.export import export_restored
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor
from trivd_tf.models import Generator
from trivd_tf.runs.open import RestoredModel
from trivd_tf.runs.stored_weights import WeightsKey


def make_generator(recurrent_unit: str = "tsru_p") -> Generator:
    """16 x 16, 2 frames given, 2 predicted; standing statistics that are not 0 and 1."""
    set_seeds(0)  # a session's fixtures are made before any test's seed is set
    generator = Generator(2, recurrent_unit, 2, num_conditioning_frames=2, frame_size=16)
    generator.build_variables()
    rng = np.random.default_rng(7)
    for variable in generator.variables:
        if variable.name == "standing_mean":
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        elif variable.name == "standing_variance":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name == "kernel" and variable.shape[-1] == 3:
            # A head that uses the whole range, so that frames differ in more than rounding.
            variable.assign(rng.normal(0.0, 1.0, variable.shape))
    return generator


@pytest.fixture(scope="session")
def generator() -> Generator:
    return make_generator()


@pytest.fixture(scope="session")
def restored(generator: Generator) -> RestoredModel:
    return RestoredModel(
        generator=generator,
        stride=2,
        title="Tiny",
        data="noise",
        labels=("dummy",),
        step=12,
        config="# tiny\n",
        run={"versions": {"keras": "3"}, "git": {"revision": "abc", "dirty": True}},
        scores={"model, step 12": {"FVD": "12.3", "SSIM": "0.5"}, "a copy": {"FVD": "9.8"}},
        protocol="noise; 4 samples",
        weights=WeightsKey(12, "0123abcd", 3, 4, 5, "noise-train-77", "noise"),
    )


@pytest.fixture(scope="session")
def export_dir(restored: RestoredModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export") / "trivd" / "1"
    export_restored(restored, directory)
    return directory


@pytest.fixture(scope="session")
def in_process(generator: Generator) -> GeneratorPredictor:
    return GeneratorPredictor(generator, stride=2)


@pytest.fixture(scope="session")
def exported(export_dir: Path) -> SavedModelPredictor:
    return SavedModelPredictor(export_dir)


@pytest.fixture(scope="session")
def served_model(export_dir: Path) -> Iterator:
    """The export as TensorFlow Serving loads it; loading it is what takes time."""
    pytest.importorskip("tensorflow_serving")
    from tests.serving.serving_stand_in import ServedModel

    with ServedModel(export_dir) as model:
        yield model


@pytest.fixture(scope="session")
def clips() -> np.ndarray:
    """Conditioning frames of three clips."""
    return np.random.default_rng(3).integers(0, 256, (3, 2, 16, 16, 3), np.uint8)
