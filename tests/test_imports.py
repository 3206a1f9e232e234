"""The floors of the package: a module imports only what lies below it; only the top knows gin."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# A floor -> the floors that it may import (besides itself).
BASE = {"errors", "paths", "progress", "run_folder", "_version"}
BELOW = {
    "errors": set(),
    "paths": set(),
    "_version": set(),
    "progress": set(),
    "run_folder": set(),
    "run_record": {"errors", "run_folder", "_version"},
    "ops": BASE,
    "layers": BASE | {"ops"},
    "data": BASE | {"ops"},
    "metrics": BASE | {"ops"},
    "models": BASE | {"ops", "layers"},
    "inference": BASE | {"ops", "layers", "models", "data", "metrics"},
    "demo": BASE | {"data", "inference"},
    "training": BASE | {"ops", "layers", "models", "data", "metrics"},
    "evaluation": BASE
    | {"ops", "layers", "models", "data", "metrics", "inference", "training", "run_record"},
    "experiment": BASE | {"models", "data", "training", "evaluation"},
    "description": BASE | {"ops", "layers", "models", "training", "inference"},
    "comparison": BASE | {"data", "inference", "evaluation", "training", "run_record"},
    "compilation": BASE | {"training", "evaluation"},
    "config": BASE | {"experiment"},
    "restore": BASE | {"config", "run_record", "inference", "training"},
    "__init__": {"_version"},
    "__main__": {"cli"},
}
KNOWS_GIN = {"config", "cli"}
# One import goes up, when it is called: a model directory is opened by what configured it.
UPWARD = {("inference/model_directory.py", "restore")}


def modules(package: Path) -> list[Path]:
    return sorted(path for path in package.glob("**/*.py") if "gin_files" not in path.parts)


def imported_names(path: Path, module: str) -> Iterator[tuple[str, int]]:
    """Every name that a module imports when it runs, with its line; types alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                # `module` of a package is the package itself, so one dot stays in it.
                keep = len(package) - node.level + (path.name == "__init__.py")
                base = ".".join([*package[:keep], *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def violations(package: Path) -> list[str]:
    root = package.parent
    found = []
    for path in modules(package):
        module = module_name(path, root)
        own = floor_of(module)
        if own not in BELOW and own != "cli":
            found.append(f"{path}: '{own}' is no floor of this package")
            continue
        for name, line in imported_names(path, module):
            first, *rest = name.split(".")
            place = f"{path.relative_to(root)}:{line}"
            if first == "gin" and own not in KNOWS_GIN:
                found.append(f"{place}: only config and cli import gin")
            if first != package.name or own == "cli" or not rest:
                continue
            other = rest[0] if rest[0] in {*BELOW, "cli"} else "__init__"
            if (path.relative_to(package).as_posix(), other) in UPWARD:
                continue
            if other not in {own, *BELOW[own]}:
                found.append(f"{place}: {own} must not import {other}")
    return found


def test_every_module_imports_only_from_below(repository):
    assert violations(repository / "trivd_tf") == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ops/a.py", "from trivd_tf.layers import b", "ops must not import layers"),
        ("ops/a.py", "def f():\n    import trivd_tf.models.b", "ops must not import models"),
        ("layers/a.py", "from ..training import b", "layers must not import training"),
        ("models/a.py", "import gin", "only config and cli import gin"),
        ("extra/a.py", "", "'extra' is no floor"),
    ],
)
def test_a_violation_is_found(tmp_path, file, text, expected):
    path = tmp_path / "trivd_tf" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = violations(tmp_path / "trivd_tf")
    assert expected in found


def test_imports_for_types_alone_do_not_count(tmp_path):
    path = tmp_path / "trivd_tf" / "training" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text("if TYPE_CHECKING:\n    from trivd_tf.experiment import Experiment\n")
    assert violations(tmp_path / "trivd_tf") == []


def test_the_package_itself_and_the_command_line_import_nothing_heavy(repository):
    """What runs before a subcommand does: `trivd --help` must answer at once."""
    light = [repository / "trivd_tf" / "__init__.py", *(repository / "trivd_tf/cli").glob("*.py")]
    heavy = {"tensorflow", "keras", "gin", "numpy", "matplotlib", "av"}
    for path in light:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            else:
                continue
            assert not names & heavy, f"{path}:{node.lineno}"
