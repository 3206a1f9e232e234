"""Protocols: named settings that fix a score (docs/architecture.md, section 7).

`trivd evaluate --protocol NAME` scores any model by one of these, overriding its own configuration.
Whatever a caller changes is recorded as a deviation.
"""

import dataclasses
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.data import (
    BAIR,
    UCF101,
    BouncingDigits,
    ClipSource,
    ClipSpec,
    FreedomWalks,
    GymnasiumFrames,
    Kinetics600,
    MovingMNIST,
    Prepared,
)
from trivd_tf.experiment import EvaluationOptions, Experiment


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that a score depends on besides the model.

    Attributes:
        name: value of `--protocol`.
        source: class of the data set.
        source_options: its arguments besides the folder, which select the stored videos to score.
        clip: conditioning and predicted frames, size, stride.
        options: split, sample count, runs, resize rule, standing statistics, seeds.
        note: choices that the paper leaves open or makes differently.
    """

    name: str
    source: type[ClipSource]
    source_options: dict[str, Any]
    clip: ClipSpec
    options: EvaluationOptions
    note: str = ""


_FIVE_GIVEN = ClipSpec(num_conditioning_frames=5, num_predicted_frames=11, size=64, stride=1)
_ONE_GIVEN = ClipSpec(num_conditioning_frames=1, num_predicted_frames=15, size=64, stride=1)


def _kinetics(name: str, split: str, test_split: str) -> Protocol:
    return Protocol(
        name,
        Kinetics600,
        {"test_split": test_split},
        _FIVE_GIVEN,
        EvaluationOptions(split=split, num_samples=50_000),
        "several runs are several trainings (Table 3: 10), which `trivd report` averages",
    )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _kinetics("kinetics600_val", "test", "validation"),
        _kinetics("kinetics600_test", "test", "test"),
        _kinetics("kinetics600_train", "train", "validation"),
        Protocol(
            "ucf101",
            UCF101,
            {"official_split": 1},
            _FIVE_GIVEN,
            EvaluationOptions(num_samples=10_000),
            "the paper gives neither official split nor sample count; split 1 and 10,000 here",
        ),
        Protocol(
            "bair_original",
            BAIR,
            {"split": "original"},
            _ONE_GIVEN,
            EvaluationOptions(num_samples=256),
            "256 samples: the score is biased by about 100",
        ),
        Protocol(
            "bair_balanced",
            BAIR,
            {"split": "balanced"},
            _ONE_GIVEN,
            EvaluationOptions(num_samples=30_000, num_runs=10),
            "several windows a video",
        ),
        Protocol(
            "moving_mnist",
            MovingMNIST,
            {},
            _FIVE_GIVEN,
            EvaluationOptions(num_samples=1_000),
            "not in the paper",
        ),
        Protocol(
            "bouncing_digits",
            BouncingDigits,
            {},
            dataclasses.replace(_FIVE_GIVEN, size=32),
            EvaluationOptions(num_samples=2_048, standing_batches=20, standing_batch_size=32),
            "not in the paper; generated, needs no files",
        ),
        Protocol(
            "freedom_walks",
            FreedomWalks,
            {},
            _FIVE_GIVEN,
            EvaluationOptions(num_samples=2_048, standing_batches=20, standing_batch_size=32),
            "not in the paper; maps that training never saw; 64 x 64",
        ),
        Protocol(
            "gymnasium",
            GymnasiumFrames,
            {},
            _FIVE_GIVEN,
            EvaluationOptions(num_samples=2_048, standing_batches=20, standing_batch_size=32),
            "not in the paper; episodes that training never saw; 64 x 64",
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Scoring:
    """A model's experiment, configured for scoring.

    Attributes:
        experiment: the experiment with data, clip and options of the score; class-conditional if
            the model is and the data has the model's classes.
        protocol: name of the protocol; empty for the experiment's own options.
        deviations: differences from the protocol, one line each.
        note: note of the protocol.
    """

    experiment: Experiment
    protocol: str = ""
    deviations: tuple[str, ...] = ()
    note: str = ""


def find_protocol(name: str) -> Protocol:
    """Return the protocol by name.

    Raises:
        InputError: unknown name.
    """
    if name not in PROTOCOLS:
        raise InputError(
            f"--protocol {name}: unknown protocol; choose one of {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]


def apply_protocol(
    protocol: Protocol,
    experiment: Experiment,
    *,
    data_dir: str | None = None,
    changes: dict[str, Any] | None = None,
) -> Scoring:
    """Configure the scoring of a model by a protocol, possibly on another data set.

    The model's numbers of frames and their size cannot change. If the protocol differs there, that
    is a deviation.

    Args:
        protocol: protocol to score by.
        experiment: experiment that trained the model.
        data_dir: folder of the protocol's data set; that of the training data by default.
        changes: changed `EvaluationOptions`, which become deviations.

    Raises:
        InputError: the folder is unknown, or contains another data set.
    """
    own = experiment.clip
    clip = dataclasses.replace(
        protocol.clip,
        num_conditioning_frames=own.num_conditioning_frames,
        num_predicted_frames=own.num_predicted_frames,
        size=own.size,
    )
    options = dataclasses.replace(protocol.options, **(changes or {}))
    source = _source(protocol, experiment.data, data_dir)
    scored = dataclasses.replace(
        experiment,
        clip=clip,
        data=source,
        evaluation=options,
        class_conditional=experiment.class_conditional and _same_classes(source, experiment),
    )
    # The number of clips per forward pass does not change the result.
    differences = [
        f"{field.name}: {getattr(mine, field.name)} instead of {getattr(wanted, field.name)}"
        for mine, wanted in ((clip, protocol.clip), (options, protocol.options))
        for field in dataclasses.fields(mine)
        if field.name != "batch_size" and getattr(mine, field.name) != getattr(wanted, field.name)
    ]
    return Scoring(scored, protocol.name, tuple(differences), protocol.note)


def _same_classes(source: ClipSource, experiment: Experiment) -> bool:
    """Whether a label of `source` has the same meaning as in training."""
    return source.class_names == experiment.labels


def _source(protocol: Protocol, own: ClipSource, data_dir: str | None) -> ClipSource:
    if not issubclass(protocol.source, Prepared):
        if data_dir is not None:
            raise InputError(f"--data_dir {data_dir}: protocol {protocol.name} reads no folder")
        return protocol.source(**protocol.source_options)
    if data_dir is None:
        if not isinstance(own, protocol.source):
            raise InputError(
                f"--protocol {protocol.name} scores on {protocol.source.name}, the model was "
                f"trained on {own.name}: give --data_dir, the folder of the prepared "
                f"{protocol.source.name}"
            )
        data_dir = own.data_dir
    return protocol.source(data_dir=data_dir, **protocol.source_options)
