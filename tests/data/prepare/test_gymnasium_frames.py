"""Frames of Gymnasium environments: whose actions, which episodes, and what is refused."""

import numpy as np
import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare.stored import read_set
from trivd_tf import data
from trivd_tf.base.errors import InputError
from trivd_tf.data.prepare import prepare
from trivd_tf.data.prepare.sets import gymnasium_frames

gymnasium = pytest.importorskip("gymnasium")
pytestmark = NEEDS_BEAM
FRAMES = 2 * gymnasium_frames.EPISODE_FRAMES


class Counting(gymnasium.Env):
    """A frame shows the sum of all actions, from a start that the seed chooses."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012
    action_space = gymnasium.spaces.Discrete(3)
    observation_space = gymnasium.spaces.Discrete(256)

    def __init__(self, render_mode=None, end=1000):
        self.render_mode, self._end = render_mode, end

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._sum, self._steps = int(self.np_random.integers(100)), 0
        return self._sum, {}

    def step(self, action):
        self._sum, self._steps = (self._sum + int(action)) % 256, self._steps + 1
        return self._sum, 0.0, self._steps >= self._end, False, {}

    def render(self):
        return np.full([20, 40, 3], self._sum, np.uint8)


class Grey(Counting):
    """Renders what is no RGB frame."""

    def render(self):
        return np.zeros([20, 40], np.uint8)


@pytest.fixture(autouse=True, scope="module")
def registered():
    gymnasium.register("Counting-v0", Counting, disable_env_checker=True)
    gymnasium.register("Grey-v0", Grey, disable_env_checker=True)
    gymnasium.register("Short-v0", lambda **options: Counting(end=5, **options))
    yield
    for name in ("Counting-v0", "Grey-v0", "Short-v0"):
        del gymnasium.registry[name]


def sums(example):
    return example["video"][:, 0, 0, 0].astype(int)


def test_episodes_differ_and_actions_are_held(tmp_path):
    output = str(tmp_path / "set")
    report = prepare(
        "gymnasium", env_id="Counting-v0", frames=FRAMES, hold=8, size=8, output=output
    )
    stored = read_set(report.output)
    (train,), (test,) = stored["train"], stored["test"]
    assert train["video"].shape == (192, 8, 16, 3)
    assert train["frame_rate"] == 25
    assert (sums(train) != sums(test)).any()
    actions = np.diff(sums(train)) % 256
    assert set(actions) == {0, 1, 2}
    # A new action after 8 steps on average, and a third of them is the old one.
    assert 192 / 8 * 0.3 < (np.diff(actions) != 0).sum() < 192 / 8 * 1.5
    clip = data.ClipSpec(num_conditioning_frames=5, num_predicted_frames=11, size=8)
    assert data.GymnasiumFrames(data_dir=output).num_evaluation_clips(clip, "test") == 177


def test_a_function_of_the_user_s_acts(tmp_path):
    (tmp_path / "mine.py").write_text("def ones(observation, action_space, rng):\n    return 1\n")
    report = prepare(
        "gymnasium",
        env_id="Counting-v0",
        policy=f"{tmp_path}/mine.py:ones",
        frames=FRAMES,
        size=8,
        output=str(tmp_path / "set"),
    )
    for examples in read_set(report.output).values():
        assert (np.diff(sums(examples[0])) % 256 == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env_id": "NoSuchThing-v0"}, "--env_id NoSuchThing-v0: .*NoSuchThing"),
        ({"env_id": "Counting-v0", "policy": "os:nothing"}, "--policy os:nothing: no function"),
        ({"env_id": "Grey-v0"}, r"renders arrays of shape \(20, 40\), not RGB frames"),
        ({"env_id": "Short-v0"}, "the episode ended after 5 frames"),
        ({}, "--env_id"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        prepare("gymnasium", frames=FRAMES, size=8, output=str(tmp_path / "set"), **options)
