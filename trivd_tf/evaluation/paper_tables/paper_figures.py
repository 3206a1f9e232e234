"""The paper's figures (Tables 1 to 4 and the text), for comparison with measured ones.

One entry per row. `run` names the gin file in `gin/runs/` that reproduces it, `protocol` the
protocol of its score (`trivd evaluate --protocol`). The pair identifies a row, because one model
may be scored on several data sets.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Score:
    """A printed score, with its standard deviation if the paper has one."""

    mean: float
    deviation: float | None = None

    def __str__(self) -> str:
        return f"{self.mean:g}" if self.deviation is None else f"{self.mean:g} ± {self.deviation:g}"


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of the paper.

    Attributes:
        table: `Table 1`, ..., or `Text` for figures outside the tables.
        name: name of the model in the paper.
        run: gin file that reproduces it, without `.gin`; None for other authors' models and for
            rows that need no training.
        protocol: a name in `trivd_tf.evaluation.protocols`.
        fvd, inception_score: None if the paper has none.
        steps: generator updates, in thousands; None if the paper does not state them.
        step_ms, memory_gb: time and memory of a step on a TPUv3 replica (Table 1).
        baseline: the row of a report with the same meaning, if this row is no model of its own.
    """

    table: str
    name: str
    run: str | None
    protocol: str
    fvd: Score | None = None
    inception_score: Score | None = None
    steps: int | None = None
    step_ms: float | None = None
    memory_gb: float | None = None
    baseline: str | None = None


def _table_1(
    name: str, run: str, inception: float, fvd: float, steps: int, ms: float, gb: float
) -> PaperRow:
    return PaperRow(
        table="Table 1",
        name=name,
        run=f"table1_{run}",
        protocol="kinetics600_val",
        fvd=Score(fvd),
        inception_score=Score(inception),
        steps=steps,
        step_ms=ms,
        memory_gb=gb,
    )


def _table_2(name: str, run: str, inception: float, fvd: float) -> PaperRow:
    return PaperRow(
        table="Table 2",
        name=name,
        run=f"table2_{run}",
        protocol="kinetics600_val",
        fvd=Score(fvd),
        inception_score=Score(inception),
        steps=500,
    )


def _fvd(
    table: str,
    name: str,
    run: str | None,
    protocol: str,
    fvd: float,
    deviation: float | None = None,
    steps: int | None = None,
) -> PaperRow:
    return PaperRow(table, name, run, protocol, Score(fvd, deviation), steps=steps)


PAPER_ROWS: tuple[PaperRow, ...] = (
    _table_1("Clip", "clip", 10.9, 59.6, 758, 488, 3.49),
    _table_1("Downsampled", "downsampled", 8.9, 122.1, 1000, 370, 3.01),
    _table_1("Cropped", "cropped", 9.4, 159.9, 997, 371, 3.10),
    _table_1("Cropped + downsampled", "cropped_downsampled", 11.5, 44.1, 792, 467, 3.30),
    _table_1("MoCoGAN-like, K = 1", "mocogan_k1", 11.3, 47.4, 651, 568, 3.95),
    _table_1("MoCoGAN-like, K = 8", "mocogan_k8", 11.4, 46.2, 561, 660, 3.95),
    _table_1("DVD-GAN-FP", "dvd_gan_fp", 10.9, 55.0, 689, 537, 3.53),
    _table_1("DVD-GAN-FP faster", "dvd_gan_fp_faster", 11.7, 46.1, 817, 453, 3.54),
    _table_1("DVD-GAN-FP stronger", "dvd_gan_fp_stronger", 11.8, 39.3, 675, 548, 3.65),
    _table_2("ConvLSTM", "conv_lstm", 11.4, 51.3),
    _table_2("ConvGRU", "conv_gru", 11.4, 49.4),
    _table_2("K-TrajGRU", "k_traj_gru", 11.6, 45.9),
    _table_2("TSRU_c", "tsru_c", 11.6, 44.2),
    _table_2("TSRU_p", "tsru_p", 11.5, 43.7),
    _table_2("TSRU_s", "tsru_s", 11.6, 45.8),
    _table_2("PTSRU_s", "ptsru_s", 11.5, 47.1),
    _fvd("Table 3", "Video Transformer", None, "kinetics600_test", 170, 5),
    _fvd("Table 3", "DVD-GAN-FP", "table3_dvd_gan_fp", "kinetics600_test", 69.15, 1.16),
    PaperRow(
        table="Table 3",
        name="TrIVD-GAN-FP",
        run="table3_trivd_gan_fp",
        protocol="kinetics600_test",
        fvd=Score(25.74, 0.66),
        inception_score=Score(12.54, 0.06),
        steps=700,
    ),
    PaperRow(
        table="Table 3",
        name="Copy of the last frame (validation)",
        run=None,
        protocol="kinetics600_val",
        fvd=Score(330),
        baseline="copy of the last frame",
    ),
    _fvd("Table 4", "SAVP, original split", None, "bair_original", 116.4),
    _fvd(
        "Table 4",
        "DVD-GAN-FP, original split",
        "table4_bair_original_dvd_gan_fp",
        "bair_original",
        109.8,
    ),
    _fvd("Table 4", "TrIVD-GAN-FP, original split", "table4_bair_original", "bair_original", 103.3),
    _fvd("Table 4", "Video Transformer, original split", None, "bair_original", 94, 2),
    _fvd(
        "Table 4",
        "TrIVD-GAN-FP, balanced split",
        "table4_bair_balanced",
        "bair_balanced",
        31.8,
        0.2,
    ),
    _fvd(
        "UCF-101",
        "DVD-GAN-FP, ch 48, trained on Kinetics",
        "ucf101_from_kinetics_dvd_gan_fp",
        "ucf101",
        117,
        steps=1000,
    ),
    _fvd(
        "UCF-101",
        "TrIVD-GAN-FP, ch 48, trained on Kinetics",
        "ucf101_from_kinetics_trivd_gan_fp",
        "ucf101",
        95.8,
        steps=1000,
    ),
    _fvd(
        "UCF-101",
        "TrIVD-GAN-FP, ch 120, trained on Kinetics",
        "table3_trivd_gan_fp",
        "ucf101",
        67.7,
    ),
    _fvd(
        "UCF-101",
        "TrIVD-GAN-FP, ch 92, trained on UCF-101",
        "ucf101_trivd_gan_fp",
        "ucf101",
        55.2,
        0.64,
        1000,
    ),
    _fvd(
        "Text",
        "DVD-GAN-FP, plain projection",
        "ablation_plain_projection",
        "kinetics600_val",
        64.2,
        steps=700,
    ),
    _fvd(
        "Text",
        "DVD-GAN-FP, mixed projection",
        "ablation_mixed_projection",
        "kinetics600_val",
        55.0,
        steps=700,
    ),
    _fvd("Text", "ConvLSTM, tanh", "ablation_conv_lstm_tanh", "kinetics600_train", 62.7, steps=180),
    _fvd("Text", "ConvLSTM, ReLU", "ablation_conv_lstm_relu", "kinetics600_train", 51.8, steps=180),
)

TABLES = tuple(dict.fromkeys(row.table for row in PAPER_ROWS))


def rows_of_table(table: str) -> list[PaperRow]:
    """Return the rows of one of `TABLES`, in the paper's order."""
    return [row for row in PAPER_ROWS if row.table == table]


def rows_of_run(run: str) -> list[PaperRow]:
    """Return the rows that a gin file of `gin/runs/` (name without `.gin`) reproduces, if any."""
    return [row for row in PAPER_ROWS if row.run == run]


def describe(row: PaperRow) -> str:
    """Return one line, such as `Table 2, TSRU_p: FVD 43.7, IS 11.5`."""
    figures = [("FVD", row.fvd), ("IS", row.inception_score)]
    shown = ", ".join(f"{name} {score}" for name, score in figures if score is not None)
    return f"{row.table}, {row.name}: {shown}"
