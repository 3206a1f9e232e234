"""The equation for slices of a pod against sums by hand; the tool on records that it finds."""

import json
import runpy
from pathlib import Path

import pytest

from trivd_tf.compilation import slices
from trivd_tf.compilation.report import StepCost

CHIP = slices.Chip(flops=2e12, memory_bytes=2e9, reduce_bytes=1e9, hop_seconds=1e-3, cores=2)
COSTS = {
    "one": StepCost(1, 1e12, 1e9, 4_000_000, 2),
    "two": StepCost(1, 3e12, 1e9, 4_000_000, 2),
    "three": StepCost(1, 1e12, 5e9, 8_000_000, 4),
}
TOOL = Path(__file__).resolve().parents[2] / "tools" / "plan_slices.py"


def test_hops_across_the_torus():
    assert [slices.hops(chips) for chips in (1, 2, 4, 16, 32, 256)] == [0, 1, 2, 6, 10, 30]
    with pytest.raises(ValueError, match="power of two"):
        slices.hops(12)


def test_a_step_by_hand():
    """8 replicas are 4 chips: 2 * 3/4 * 4 MB at 1 GB/s, and 2 * 2 sums over 2 hops of 1 ms."""
    model = slices.StepTime(compute=1.5, memory=2.0, chip=CHIP)
    assert slices.reduce_seconds(COSTS["one"], 8, CHIP) == pytest.approx(6e-3 + 8e-3)
    assert model.seconds(COSTS["one"], 8) == pytest.approx(1.5 * 1.0 + 2.0 * 1.0 + 14e-3)
    assert slices.reduce_seconds(COSTS["one"], 2, CHIP) == 0


def test_the_fit_finds_the_rates_behind_the_times():
    true = slices.StepTime(compute=1.7, memory=0.6, chip=CHIP)
    measured = {name: true.seconds(cost, 8) for name, cost in COSTS.items()}
    found = slices.fit(COSTS, measured, 8, CHIP)
    assert (found.compute, found.memory) == pytest.approx((1.7, 0.6))
    assert all(
        error == pytest.approx((0, 0), abs=1e-9)
        for error in slices.errors(COSTS, measured, 8, CHIP).values()
    )
    measured["two"] *= 2  # one that the others do not explain
    fitted, alone = slices.errors(COSTS, measured, 8, CHIP)["two"]
    assert alone == pytest.approx(-0.5)
    assert alone < fitted < 0
    with pytest.raises(ValueError, match="two rows"):
        slices.fit({"one": COSTS["one"]}, measured, 8, CHIP)


def test_the_tool_reads_what_compile_recorded(tmp_path, capsys):
    def record(program: str, decomposition: str, flops: float) -> dict:
        reduction = {"kind": "all-reduce", "count": 3, "num_bytes": 1_000_000, "largest": 9}
        figures = {"peak_bytes": 1, "flops": flops, "accessed_bytes": 5e9}
        configuration = {
            "title": f"Table 1, {decomposition}",
            "generator": {"channel_multiplier": 48},
            "discriminators": {"decomposition": decomposition},
        }
        return {
            **{"program": program, "topology": "v3:2x2", "num_replicas": 8, "replica_batch": 8},
            **{"configuration": configuration, "resident_bytes": 0, "digest": "d", "source": "s"},
            **{"runs_a_step": 2 if program == "discriminators" else 1, "date": "2026-01-01"},
            "figures": {**figures, "collectives": [reduction]},
        }

    main = runpy.run_path(str(TOOL))["main"]
    stored = {}
    for decomposition, flops in (("clip", 3e12), ("cropped", 1e12)):
        for program in ("discriminators", "generator"):
            stored[decomposition + program] = record(program, decomposition, flops)
    path = tmp_path / "compiled.json"
    path.write_text(json.dumps(stored))
    assert main(["--records", str(tmp_path), "--slices", "32", "512", "--price", "2"]) == 0
    out = capsys.readouterr().out
    assert "from 2 rows" in out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("Cropped")] == ["371"]
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("v3-")] == [
        ["v3-32", "256"],
        ["v3-512", "4,096"],
    ] * 2
    del stored["clipgenerator"]
    path.write_text(json.dumps(stored))
    assert main(["--records", str(tmp_path)]) == 2
    assert main(["--records", str(tmp_path), "--slices", "48"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "1 rows of Table 1" in errors[0]
    assert "--slices 48" in errors[1]
