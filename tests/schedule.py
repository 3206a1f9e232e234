"""Order of the test files, and which of them share a process.

Tracing is what takes time: files that use the same traced fixtures of a session run in one process,
which traces them once.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Folders, and files of other folders, that share fixtures of a session.
TOGETHER = {
    "evaluation": ("evaluation",),
    "exports": (
        *("exporting", "serving", "batch/test_batch", "demo/test_demo_command"),
        *("inference/test_predictor",),
    ),
    "i3d": ("metrics/test_fvd", "metrics/test_i3d", "metrics/test_i3d_logits"),
    "recurrent": ("layers/recurrent",),
    "training": tuple(
        f"training/test_{name}"
        for name in ("learning", "loop", "mixed_precision", "prediction_loss", "prepared_data")
        + ("run_start", "start_from", "step", "strategies", "train_command")
    ),
}
# What takes longest, longest first: begun last, it would leave one process idle.
LONGEST = (
    *("training", "exports", "conformance/test_conformance", "cli/test_end_to_end"),
    *("gin_files/test_runs", "evaluation", "training/test_replicas", "compilation/test_compiles"),
    *("recurrent", "description/test_costs", "i3d", "cli/test_describe"),
    *("conformance/test_keras", "inference/test_without_data", "cli/test_users_files"),
    *("models/test_generator", "inference/test_labels"),
)


def group(path: str) -> str:
    """Return the name of what runs in one process with a file, `cli/test_main` for example."""
    for name, members in TOGETHER.items():
        if any(path == member or path.startswith(f"{member}/") for member in members):
            return name
    return path


def position(item: pytest.Item) -> tuple[int, str]:
    """Return the rank of an item's group; groups of the same rank stay apart."""
    name = group(str(item.path.relative_to(TESTS).with_suffix("")))
    return (LONGEST.index(name) if name in LONGEST else len(LONGEST)), name


def make_scheduler(config: pytest.Config, log):
    """Return pytest-xdist's scheduling by file, with our groups in the place of files.

    None, which leaves the choice to pytest-xdist, for any other `--dist`.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class GroupScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return group(path.removeprefix("tests/").removesuffix(".py"))

    return GroupScheduling(config, log)
