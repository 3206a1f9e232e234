"""What is read off a compiled program, and what is made of it; nothing is compiled here."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.compilation import compile, paper, report
from trivd_tf.compilation.collectives import array_bytes, find_collectives
from trivd_tf.compilation.emission import emit, why
from trivd_tf.compilation.programs import Emitted
from trivd_tf.compilation.records import Record, Records
from trivd_tf.compilation.topologies import Topology, parse_topology
from trivd_tf.compilation.tpu_compiler import out_of_memory

V3 = Topology("v3", (2, 2))
HLO = """
  %a = f32[3,8]{1,0:T(4,128)} all-reduce(%x), replica_groups={{0,1}}, to_apply=%sum
  %b = (f32[2]{0}, bf16[4,2]{1,0}) all-reduce(%y, %z), replica_groups={{0,1}}, to_apply=%sum
  %c = (f32[10]{0}, f32[10]{0}) all-reduce-start(%w), to_apply=%sum
  %d = f32[10]{0} all-reduce-done(%c)
  %e = s32[5]{0} all-gather(%v), dimensions={0}
  %f = f32[7]{0} add(%all-reduce, %a), metadata={op_name="all-reduce(x)"}
"""


def record(program, figures, runs=1, resident=0):
    return Record(
        program, "v3:2x2", 8, 2, {"title": "t"}, runs, resident, figures, "d", "s", "2026-01-01"
    )


def compiled(peak, flops=10.0, **others):
    return {
        "argument_bytes": 1,
        "temporary_bytes": 1,
        "peak_bytes": peak,
        "flops": flops,
        "accessed_bytes": 2 * flops,
        "collectives": [{"kind": "all-reduce", "count": 3, "num_bytes": 12, "largest": 8}],
        **others,
    }


def failed(wanted, limit):
    return {"out_of_memory": {"wanted_bytes": wanted, "hbm_bytes": limit, "message": "too much"}}


def test_collectives_are_counted_with_their_bytes():
    reduce, gather = find_collectives(HLO.splitlines())
    assert vars(reduce) == {
        "kind": "all-reduce",
        "count": 3,
        "num_bytes": 96 + (8 + 16) + 40,
        "largest": 96,
    }
    assert (gather.kind, gather.count, gather.num_bytes) == ("all-gather", 1, 20)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("f32[]", 4), ("pred[3]{0}", 3), ("u8[2,2]", 4), ("(s64[2], f8e4m3fn[3])", 19)],
)
def test_bytes_of_shapes(shape, expected):
    assert array_bytes(shape) == expected


def test_topologies():
    assert parse_topology("v3:2x2").num_replicas == 8
    assert parse_topology("v5e").name == "v5e:2x2"
    assert parse_topology("v4:2x2x1").num_replicas == 4
    assert parse_topology("v5e").hbm_bytes == int(15.75 * 2**30)
    for wrong in ("v9:2x2", "v3:2x2x1", "v4:2x2", "v3:0x2", "v3:ax2"):
        with pytest.raises(InputError, match="--topology"):
            parse_topology(wrong)


@pytest.mark.parametrize(
    "message",
    [
        "Ran out of memory in memory space hbm. Used 20.50G of 15.48G hbm. Exceeded by 5.02G",
        "E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (20.50G) exceeds available HBM (15.48G). HLO module: jit__lambda.",
    ],
)
def test_out_of_memory_is_understood(message):
    assert out_of_memory(f"RESOURCE_EXHAUSTED: {message}") == {
        "wanted_bytes": int(20.5 * 2**30),
        "hbm_bytes": int(15.48 * 2**30),
    }
    assert out_of_memory("INTERNAL: something else") is None


def test_variables_that_a_program_does_not_take_need_room_too():
    one = record("generator", compiled(V3.hbm_bytes - 5), resident=5)
    assert one.fits
    other = dataclasses.replace(one, resident_bytes=6)
    assert other.compiled
    assert not other.fits
    assert report.step_cost({"generator": one}) is not None
    assert report.step_cost({"generator": other}) is None


def test_a_step_adds_what_its_programs_do_and_peaks_where_the_largest_does():
    cost = report.step_cost(
        {
            "discriminators": record("discriminators", compiled(50), runs=2, resident=7),
            "generator": record("generator", compiled(40, flops=5.0), resident=9),
            "prediction": record("prediction", compiled(1000), runs=0),
        }
    )
    assert cost == report.StepCost(57, 25.0, 50.0, 36, 9)
    assert report.step_cost({"generator": record("generator", failed(2, 1))}) is None


def test_amounts_have_three_digits():
    assert [report.billions(x) for x in (0, 3.514e9, 12.3e6, 123.4e9)] == [
        "0.00",
        "3.51",
        "0.0123",
        "123",
    ]


def test_rows_stand_beside_the_papers():
    costs = {
        "table1_clip": report.StepCost(3_400_000_000, 3e12, 1.0, 1, 1),
        "table1_cropped": report.StepCost(3_200_000_000, 1e12, 1.0, 1, 1),
        "table1_mocogan_k8": report.StepCost(3_300_000_000, 4e12, 1.0, 1, 1),
        "quickstart": report.StepCost(1, 1.0, 1.0, 1, 1),
    }
    text = paper.beside_the_paper(costs)
    assert "above the paper's GB: Cropped\n" in text
    assert "over 3 rows: 1.000" in text
    assert paper.beside_the_paper({"quickstart": costs["quickstart"]}) == ""


def test_records_are_kept_beside_each_other(tmp_path):
    first, second = Records(tmp_path / "new"), Records(tmp_path / "new")
    one, other = record("generator", compiled(4)), record("discriminators", failed(2, 1))
    first.add("a", one)
    second.add("b", other)
    assert first.read() == {"a": one, "b": other}
    assert one.fits
    assert not other.fits
    first.path.write_text("[1]")
    with pytest.raises(InputError, match="another --output"):
        first.get("a")


@dataclasses.dataclass(frozen=True)
class FakeJob:
    """A job whose memory is a straight line in the batch."""

    replica_batch: int
    topology: Topology = V3

    def with_batch(self, replica_batch):
        return FakeJob(replica_batch)


@pytest.mark.parametrize("start", [1, 8, 64])
@pytest.mark.parametrize(("base", "slope", "largest"), [(100, 10, 90), (990, 9, 1), (1001, 1, 0)])
@pytest.mark.parametrize("greedy", ["generator", "discriminators"])
def test_the_largest_batch_is_found_with_few_compiles(
    monkeypatch, start, base, slope, largest, greedy
):
    """Of two programs one needs twice the other; what fits is also known of the other."""
    compiles = []

    def compile_job(job, records, programs, while_they_fit, say):
        found = {}
        for program in programs:
            compiles.append((program, job.replica_batch))
            wanted = base + slope * job.replica_batch
            wanted = wanted if program == greedy else wanted // 2
            figures = compiled(wanted) if wanted <= 1000 else failed(wanted, 1000)
            found[program] = record(program, figures)
            if wanted > 1000:
                break
        return found

    monkeypatch.setattr(compile, "compile_job", compile_job)
    jobs = compile.find_batch(FakeJob(start), None)
    assert len(compiles) == len(set(compiles)) < 13
    assert len({size for _, size in compiles}) == len(jobs)
    if largest:
        assert jobs[-1].replica_batch == largest
        assert {(name, largest) for name in ("generator", "discriminators")} <= set(compiles)
        assert (greedy, largest + 1) in compiles
    else:
        assert (greedy, 1) in compiles


def test_one_compile_tells_where_the_next_is(monkeypatch):
    """With what variables take known, memory is a line already, and three compiles are enough."""
    sizes, limit = [], V3.hbm_bytes

    def compile_job(job, records, programs, while_they_fit, say):
        sizes.append(job.replica_batch)
        kept, wanted = 7 * limit // 16, limit // 2 + limit // 40 * job.replica_batch
        figures = compiled(wanted - 5, argument_bytes=kept)
        figures = figures if wanted <= limit else failed(wanted, limit)
        return {"generator": record("generator", figures, resident=5)}

    monkeypatch.setattr(compile, "compile_job", compile_job)
    assert compile.find_batch(FakeJob(8), None)[-1].replica_batch == 20
    assert sizes == [8, 17, 20, 21]


class Machine:
    """Stands for tracing and compiling: notes what is asked of it, and refuses the generator."""

    def __init__(self):
        self.traced, self.compiled = [], []

    def emit(self, experiment, num_replicas, programs, folder):
        self.traced += programs
        return {name: Emitted(folder / name, "d", 1, 0) for name in programs}

    def run_compiler(self, path, topology, num_replicas):
        self.compiled.append(path.name)
        return failed(2, 1) if path.name == "generator" else compiled(4)


def test_nothing_is_compiled_twice_nor_after_what_does_not_fit(tmp_path, monkeypatch):
    machine, records = Machine(), Records(tmp_path)
    monkeypatch.setattr(compile, "emit", machine.emit)
    monkeypatch.setattr(compile, "run_compiler", machine.run_compiler)
    experiment = config.parse(["quickstart"], [], stand_in_data=True).build()
    job = compile.Job.of(experiment, V3, replica_batch=1)
    programs = ("generator", "discriminators")

    found = compile.compile_job(job, records, programs, while_they_fit=True)
    assert list(found) == machine.compiled == ["generator"]
    assert compile.compile_job(job, records, programs, while_they_fit=True) == found
    assert machine.traced == list(programs)

    assert list(compile.compile_job(job, records, programs)) == list(programs)
    assert machine.compiled == list(programs)
    # The program is the same still: traced to know it, and not compiled.
    compile.compile_job(job, records, programs, again=True)
    assert machine.traced == ["generator", "discriminators", "discriminators", *programs]
    assert machine.compiled == list(programs)


@pytest.mark.parametrize(
    ("status", "stderr", "reason"),
    [
        (1, "Traceback\n  File\nValueError: no such thing \n\n", "ValueError: no such thing"),
        (3, "\n", "exit status 3"),
        (-9, "half a li", "signal 9 ended it; is there enough memory?"),
    ],
)
def test_why_a_process_failed(status, stderr, reason):
    assert why(subprocess.CompletedProcess([], status, "", stderr)) == reason


class Unbuildable:
    """An experiment whose networks refuse their arguments; it can be handed to a process."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise InputError("channel_multiplier must be positive")


def test_what_is_wrong_with_the_networks_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    experiment = Unbuildable()
    with pytest.raises(InputError, match=r"^channel_multiplier must be positive$"):
        emit(experiment, 8, ["generator"], tmp_path)
