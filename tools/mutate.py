"""Breaks the paper's rules one at a time and checks that a test detects each.

Every entry of `tools/mutations` changes one place in a copy of the tree and names the tests that
must fail. It is caught if an assertion of one of them fails with the change and all of them pass
without it; other errors do not count. TensorFlow is imported once; each change is tried in a fork
of that process.

    python tools/mutate.py                      all of them; finished ones are not repeated
    python tools/mutate.py --only tsru_p_blend  one
    python tools/mutate.py --table docs/testing.md   writes the table of results

The exit status is 1 if a change survives.
"""

import argparse
import compileall
import dataclasses
import hashlib
import importlib
import json
import os
import pathlib
import py_compile
import re
import shutil
import signal
import sys
import tempfile
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tools.mutations import MUTATIONS, Mutation

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPIED = ("trivd_tf", "tests", "gin", "tools", "export", "pyproject.toml", "setup.py")
BEGIN, END = "<!-- mutations: begin -->", "<!-- mutations: end -->"
TIMEOUT = 900
# Start of the reason in pytest's summary: NumPy's and plain assertions, and `pytest.raises`.
_ASSERTION = re.compile(r"AssertionError|assert |Failed: DID NOT ")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a mutation.

    Attributes:
        status: "caught", "survived", "error" (a test failed, but not by an assertion), "broken"
            (the tests could not be collected) or "timeout".
        test: the first test that failed.
        seconds: CPU seconds, which other load on the machine hardly changes.
    """

    status: str
    test: str
    seconds: float


def run_tests(
    tree: pathlib.Path, tests: list[str], log: pathlib.Path, *options: str
) -> tuple[int, float]:
    """Run pytest in a fork; return its exit status (-1 after `TIMEOUT` seconds) and CPU seconds."""
    child = os.fork()
    if child == 0:
        _in_fork(tree, tests, log, options)
    deadline = time.monotonic() + TIMEOUT
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            return -1, usage.ru_utime + usage.ru_stime
        time.sleep(0.05)


def _in_fork(
    tree: pathlib.Path, tests: list[str], log: pathlib.Path, options: tuple[str, ...]
) -> None:
    status = 3
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(tree)
        sys.path[:] = [str(tree), *(p for p in sys.path if pathlib.Path(p or ".") != ROOT)]
        os.environ["PYTHONPATH"] = str(tree)
        os.environ["COLUMNS"] = "1000"  # the summary truncates its lines to this width
        import pytest

        flags = ["-q", "-p", "no:cacheprovider", "--tb=line", "-rfE", *options]
        status = int(pytest.main([*flags, *(f"tests/{test}" for test in tests)]))
        sys.stdout.flush()
    finally:
        os._exit(status)


def failed_test(log: str) -> tuple[str, bool]:
    """Return the first test that failed or could not be set up, and whether an assertion failed."""
    found = re.search(r"^(FAILED|ERROR) tests/(\S.*?)(?: - (.*))?$", log, re.MULTILINE)
    if not found:
        return "", False
    kind, test, reason = found[1], found[2], found[3] or ""
    return test, kind == "FAILED" and bool(_ASSERTION.match(reason))


def try_mutation(mutation: Mutation, tree: pathlib.Path, log: pathlib.Path) -> Outcome:
    """Apply a mutation to the copy, run its tests, and revert it."""
    path = tree / "trivd_tf" / mutation.file
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutation.applied(text), encoding="utf-8")
        status, seconds = run_tests(tree, list(mutation.tests), log, "-x")
    finally:
        path.write_text(text, encoding="utf-8")
    test, by_assertion = failed_test(log.read_text(encoding="utf-8", errors="replace"))
    failed = "caught" if by_assertion else "error" if test else "broken"
    names = {0: "survived", 1: failed, -1: "timeout"}
    return Outcome(names.get(status, "broken"), test, seconds)


def copy_tree(target: pathlib.Path) -> pathlib.Path:
    """Copy the tree, compiled by content, so that a change of equal length and time is noticed."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target / name)
    # Compiled once for all forks; a file is recompiled if its content changes.
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(target, quiet=1, invalidation_mode=checked)
    return target


def key_of(mutation: Mutation) -> str:
    """Return a digest of the mutation, the file that it changes and the files of its tests."""
    digest = hashlib.sha256(repr(mutation).encode())
    files = [ROOT / "trivd_tf" / mutation.file]
    files += [ROOT / "tests" / test.partition("::")[0] for test in mutation.tests]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def table(mutations: list[Mutation], results: dict[str, Any]) -> str:
    """Return a Markdown table: the broken rule, its file, the test that caught it, seconds."""
    done = [(one, results[one.name]) for one in mutations if one.name in results]
    caught = sum(result["status"] == "caught" for _, result in done)
    seconds = sum(result["seconds"] for _, result in done)
    lines = [
        f"{caught} of {len(done)} changes are caught, in {seconds / 60:.0f} CPU minutes; "
        f"{len(mutations) - len(done)} of {len(mutations)} are not in this table yet.",
        "",
        "| name | the rule that is broken | in | caught by | CPU s |",
        "|---|---|---|---|---:|",
    ]
    for one, result in done:
        test = result["test"].partition(" ")[0] if result["status"] == "caught" else "**nothing**"
        lines.append(
            f"| {one.name} | {one.rule} | `{one.file}` | `{test}` | {result['seconds']:.0f} |"
        )
    return "\n".join(lines)


def write_table(page: pathlib.Path, text: str) -> None:
    """Insert the table between its two marks in a Markdown page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names, run nothing")
    parser.add_argument(
        "--check", action="store_true", help="only check that every fragment occurs once"
    )
    parser.add_argument(
        "--results", type=pathlib.Path, default=ROOT / ".mutations.json", metavar="FILE"
    )
    parser.add_argument("--table", type=pathlib.Path, metavar="PAGE", help="a Markdown page")
    arguments = parser.parse_args(argv)
    chosen = [one for one in MUTATIONS if not arguments.only or one.name in arguments.only]
    if arguments.list:
        print("\n".join(f"{one.name}: {one.rule}" for one in chosen))
        return 0
    for one in chosen:
        one.applied((ROOT / "trivd_tf" / one.file).read_text(encoding="utf-8"))
    if arguments.check:
        print(f"{len(chosen)} changes apply")
        return 0
    results = json.loads(arguments.results.read_text()) if arguments.results.exists() else {}
    todo = [one for one in chosen if results.get(one.name, {}).get("key") != key_of(one)]
    if todo:
        _run(todo, results, arguments.results)
    if arguments.table:
        write_table(arguments.table, table(MUTATIONS, results))
    missed = [one.name for one in chosen if results[one.name]["status"] != "caught"]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught")
    for name in missed:
        print(f"not caught: {name} ({results[name]['status']})")
    return 1 if missed else 0


def _run(todo: list[Mutation], results: dict[str, Any], path: pathlib.Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("tensorflow", "keras", "pytest", "scipy.ndimage", "gin", "av", "PIL.Image"):
        importlib.import_module(name)

    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(pathlib.Path(folder) / "tree")
        log = pathlib.Path(folder) / "log"
        passed: set[str] = set()
        for one in sorted(todo, key=lambda one: one.tests[0].partition("::")[0]):
            _check_unchanged(one, todo, tree, log, passed)
            outcome = try_mutation(one, tree, log)
            results[one.name] = {"key": key_of(one), **dataclasses.asdict(outcome)}
            path.write_text(json.dumps(results, indent=1) + "\n")
            print(
                f"{one.name}: {outcome.status} {outcome.test} {outcome.seconds:.1f} s", flush=True
            )
            if outcome.status in ("broken", "error"):
                print(log.read_text(errors="replace")[-1500:], flush=True)


def _check_unchanged(
    mutation: Mutation,
    todo: list[Mutation],
    tree: pathlib.Path,
    log: pathlib.Path,
    passed: set[str],
) -> None:
    """Exit unless the tests pass without a change; tests of one file run together."""
    if set(mutation.tests) <= passed:
        return
    files = {test.partition("::")[0] for test in mutation.tests}
    tests = {test for one in todo for test in one.tests if test.partition("::")[0] in files}
    status, seconds = run_tests(tree, sorted(tests - passed), log)
    if status:
        content = log.read_text(errors="replace")
        sys.exit(f"without any change, these tests fail:\n{content[-3000:]}")
    passed |= tests
    print(f"unchanged: {', '.join(sorted(files))} passes, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
