"""The floors of the package: a module imports only what lies below it, and no circle anywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# A room -> the rooms that it may import (besides itself), lowest floor first.
BASE = {"base", "_version"}
TENSORS = BASE | {"ops", "layers", "models", "data", "metrics"}
CONFIGURED = TENSORS | {"experiment", "config"}
TRAINED = CONFIGURED | {"training", "runs"}
USED = TRAINED | {"inference", "pictures"}
BELOW = {
    "_version": set(),
    "base": {"_version"},
    "ops": BASE,
    "layers": BASE | {"ops"},
    "models": BASE | {"ops", "layers"},
    "data": BASE | {"ops"},
    "metrics": BASE | {"ops"},
    "experiment": TENSORS,
    "config": BASE | {"experiment"},
    "training": TENSORS | {"experiment"},
    "runs": TENSORS | {"experiment", "config", "training"},
    "scoring": BASE | {"data", "metrics"},
    "pictures": BASE | {"ops", "data"},
    "inference": TRAINED | {"pictures"},
    "exporting": USED,
    "serving": BASE | {"inference"},
    "batch": BASE | {"data", "inference", "pictures"},
    "evaluation": USED,
    "description": TENSORS | {"experiment", "training", "pictures"},
    "compilation": TENSORS | {"experiment", "training", "description", "evaluation"},
    "comparison": USED | {"evaluation"},
    "demo": BASE | {"data", "inference", "pictures"},
    "api": USED | {"evaluation", "serving"},
    "cli": USED
    | {"exporting", "serving", "batch", "evaluation", "description", "compilation"}
    | {"comparison", "demo", "scoring"},
    "__init__": {"_version", "api"},
    "__main__": {"cli"},
}
KNOWS_GIN = {"config", "cli"}


def modules(package: Path) -> list[Path]:
    return sorted(path for path in package.glob("**/*.py") if "gin_files" not in path.parts)


def imported_names(path: Path, module: str) -> Iterator[tuple[str, int]]:
    """Every name that a module imports, wherever it stands, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def violations(package: Path) -> list[str]:
    root = package.parent
    found = []
    for path in modules(package):
        module = module_name(path, root)
        own = room_of(module)
        if own not in BELOW:
            found.append(f"{path}: '{own}' is no room of this package")
            continue
        for name, line in imported_names(path, module):
            first, *rest = name.split(".")
            place = f"{path.relative_to(root)}:{line}"
            if first == "gin" and own not in KNOWS_GIN:
                found.append(f"{place}: only config and cli import gin")
            if first != package.name or not rest:
                continue
            other = rest[0] if rest[0] in BELOW else "__init__"
            if other not in {own, *BELOW[own]}:
                found.append(f"{place}: {own} must not import {other}")
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports.

    Importing a name from a package's `__init__` counts as an import of the module that defines it
    where the name is a submodule, else of the `__init__`. That a submodule belongs to its own
    package is no import of the package.
    """
    root = package.parent
    names = {module_name(path, root): path for path in modules(package)}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for imported, _ in imported_names(path, name):
            target = imported if imported in names else imported.rpartition(".")[0]
            if target in names and target != name:
                graph[name].add(target)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every strongly connected set of more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            circle = []
            while True:
                circle.append(stack.pop())
                if circle[-1] == node:
                    break
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_every_module_imports_only_from_below(repository):
    assert violations(repository / "trivd_tf") == []


def test_no_modules_import_each_other(repository):
    assert circles(import_graph(repository / "trivd_tf")) == []


def test_no_room_is_crowded(repository):
    """Up to 12 files a folder; `__init__.py`, which only names what is inside, is not counted."""
    for folder in {path.parent for path in modules(repository / "trivd_tf")}:
        files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 12, f"{folder}: {len(files)} files"


PRIVATE_PACKAGES = ("tensorflow.python", "tensorflow.core", "tensorflow.compiler")
PRIVATE_PACKAGES += ("keras.src", "jax._src")
# No public name gives these.
SET_HERE = ("self._", "function._trivd")
ALLOWED = {"os._exit", "argparse._SubParsersAction", "argparse._ArgumentGroup", "parser._actions"}
ALLOWED |= {"self._option_string_actions"}


def private_uses(package: Path) -> list[str]:
    """Uses of other packages' private names outside of the modules `*_private.py`.

    An attribute counts as the package's own where some module of the package defines the name.
    """
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for path in modules(package)
        if not path.stem.endswith("_private")
    }
    own = set()
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith(SET_HERE):
            own.update([node.attr] if isinstance(node.ctx, ast.Store) else [])
    found = []
    for path, tree in trees.items():
        place = path.relative_to(package.parent)
        for name, line in imported_names(path, module_name(path, package.parent)):
            if name.startswith(PRIVATE_PACKAGES):
                found.append(f"{place}:{line}: {name}")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or node.attr in own:
                continue
            if node.attr.startswith("_") and not node.attr.startswith("__"):
                use = ast.unparse(node)
                if use not in ALLOWED:
                    found.append(f"{place}:{node.lineno}: {use}")
    return found


def test_private_names_of_other_packages_stay_in_their_modules(repository):
    assert private_uses(repository / "trivd_tf") == []


@pytest.mark.parametrize(
    "text",
    [
        "from tensorflow.python.framework import config",
        "def f():\n    import keras.src.backend",
        "def f(optimizer):\n    return optimizer._momentums",
        "def f(graph):\n    graph._something = 1",
    ],
)
def test_a_private_name_is_found(tmp_path, text):
    path = tmp_path / "trivd_tf" / "ops" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(private_uses(tmp_path / "trivd_tf")) == 1
    path.rename(path.with_name("keras_private.py"))
    assert private_uses(tmp_path / "trivd_tf") == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ops/a.py", "from trivd_tf.layers import b", "ops must not import layers"),
        ("ops/a.py", "def f():\n    import trivd_tf.models.b", "ops must not import models"),
        ("layers/a.py", "from ..training import b", "layers must not import training"),
        (
            "layers/a.py",
            "if TYPE_CHECKING:\n    from trivd_tf.experiment import Experiment",
            "layers must not import experiment",
        ),
        ("models/a.py", "import gin", "only config and cli import gin"),
        ("extra/a.py", "", "'extra' is no room"),
    ],
)
def test_a_violation_is_found(tmp_path, file, text, expected):
    path = tmp_path / "trivd_tf" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = violations(tmp_path / "trivd_tf")
    assert expected in found


@pytest.mark.parametrize(
    "back",
    [
        "from trivd_tf.ops import a",
        "from .a import f",
        "def f():\n    from trivd_tf.ops.a import g",
        "if TYPE_CHECKING:\n    from trivd_tf.ops.a import F",
    ],
)
def test_a_circle_is_found(tmp_path, back):
    package = tmp_path / "trivd_tf"
    (package / "ops").mkdir(parents=True)
    for name, text in (("__init__", ""), ("a", "from trivd_tf.ops.b import g"), ("b", back)):
        (package / "ops" / f"{name}.py").write_text(text)
    assert circles(import_graph(package)) == [["trivd_tf.ops.a", "trivd_tf.ops.b"]]


def test_the_package_itself_and_the_command_line_import_nothing_heavy(repository):
    """What runs before a subcommand does: `trivd --help` must answer at once."""
    light = [repository / "trivd_tf" / "__init__.py", *(repository / "trivd_tf/cli").rglob("*.py")]
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
