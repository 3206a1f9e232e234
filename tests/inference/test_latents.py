"""Latents: the distribution against SciPy, and what they depend on."""

import numpy as np
import pytest
from scipy import stats

from trivd_tf.base.errors import InputError
from trivd_tf.inference.latents import latents


def draw(seed: int = 0, *, clips: int = 1, samples: int = 1, truncation: float | None = None):
    return latents(
        seed, num_clips=clips, num_samples=samples, latent_size=128, truncation=truncation
    )


@pytest.mark.parametrize("truncation", [None, 0.8, 2.0])
def test_distribution(truncation: float | None) -> None:
    z = draw(5, samples=300, truncation=truncation).ravel()
    reference = stats.norm() if truncation is None else stats.truncnorm(-truncation, truncation)
    assert stats.kstest(z, reference.cdf).pvalue > 1e-3
    if truncation is not None:
        # At the threshold's edge, but never beyond it.
        assert 0.99 * truncation < np.abs(z).max() <= np.float32(truncation)


def test_truncation_zero_is_zero_and_infinity_is_none() -> None:
    assert not draw(truncation=0.0).any()
    np.testing.assert_array_equal(draw(truncation=np.inf), draw(truncation=None))
    assert np.isfinite(draw(truncation=1e30)).all()


def test_a_sample_depends_on_its_seed_and_place_alone() -> None:
    many = draw(3, clips=4, samples=5)
    np.testing.assert_array_equal(draw(3, clips=2, samples=2), many[:2, :2])
    rows = many.reshape(20, 128)
    assert np.abs(np.corrcoef(rows) - np.eye(20)).max() < 0.45
    assert not np.array_equal(draw(4), draw(3))
    # Neighbouring seeds share no row: clip 1 of seed 3 is not clip 0 of seed 4.
    assert not np.array_equal(many[1], draw(4, samples=5)[0])


def test_seeds_of_64_bits() -> None:
    for seed in (-(2**63), 2**63 - 1):
        assert np.isfinite(draw(seed, clips=3)).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": 2**63}, "seed"),
        ({"samples": 0}, "num_samples"),
        ({"truncation": -0.5}, "truncation.*-0.5"),
        ({"truncation": float("nan")}, "truncation.*nan"),
        ({"truncation": "a"}, "truncation.*'a'"),
    ],
)
def test_bad_values_are_named(options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        draw(**options)
