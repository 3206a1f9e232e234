"""Records frames of Gymnasium environments: a policy acts, the environment renders.

This works with any environment that renders to arrays: CarRacing, MuJoCo, Atari, PushT, ViZDoom.
The seed determines every episode if the environment is deterministic; training and test episodes
have different seeds.
"""

import contextlib
import importlib
import importlib.util
import os
import runpy
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.data.clips import require_integer
from trivd_tf.data.files.arrays import resize_to_cover
from trivd_tf.data.prepare.plan import Item, Job, Plan
from trivd_tf.data.prepare.videos import Result, Video

EPISODE_FRAMES = 192  # maximum: twelve clips of 16 frames
_SHORTEST = 16
_TEST_SHARE = 5  # one episode in this many is for testing
_SPLIT_SEEDS = {"train": 0, "test": 1}

_LOADING = threading.Lock()

# A policy: (observation, action space, random generator) -> action.
Policy = Callable[[Any, Any, np.random.Generator], Any]


def plan_gymnasium(*, env_id: str, frames: int, seed: int, hold: int, policy: str) -> Plan:
    """Plans episodes of up to 192 frames, one in five of them for testing.

    Args:
      env_id: environment ID for `gymnasium.make`.
      frames: approximate maximum of the total number of frames.
      seed: seed of all episodes.
      hold: mean number of steps for which the random policy holds an action.
      policy: "random", or "FILE.py:FUNCTION" or "MODULE:FUNCTION".
    """
    require_integer("prepare", "frames", frames, 2 * EPISODE_FRAMES)
    require_integer("prepare", "seed", seed, 0)
    require_integer("prepare", "hold", hold, 1)
    if policy != "random":
        policy = _absolute(policy)
        load_policy(policy)
    with make_environment(env_id) as environment:
        _first_frame(env_id, environment)  # report problems before anything is written
    episodes = -(-frames // EPISODE_FRAMES)
    counts = {"test": max(episodes // _TEST_SHARE, 1)}
    counts["train"] = episodes - counts["test"]
    return Plan(
        name="gymnasium",
        reader="gymnasium",
        reader_options={"env_id": env_id, "seed": seed, "hold": hold, "policy": policy},
        root=env_id,
        splits={
            split: [
                Item(f"{split}_{number:06d}", split, record=number)
                for number in range(counts[split])
            ]
            for split in ("train", "test")
        },
        description=f"Frames of the Gymnasium environment {env_id}.",
    )


@contextlib.contextmanager
def make_environment(env_id: str) -> Iterator[Any]:
    """Yields an environment that renders to arrays, and closes it.

    Raises:
      InputError: Gymnasium is not installed, or the environment is unknown or cannot be created.
    """
    if importlib.util.find_spec("gymnasium") is None:
        raise InputError("prepare gymnasium needs Gymnasium; pip install 'trivd-tf[gym]'")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # no window, no display
    import gymnasium

    # Environments of other packages register themselves when their namespace is imported.
    namespace = env_id.split("/")[0].split(":")[0] if "/" in env_id else None
    if namespace and importlib.util.find_spec(namespace):
        importlib.import_module(namespace)
    try:
        environment = gymnasium.make(env_id, render_mode="rgb_array")
    except Exception as error:  # an environment may raise any error, in its packages or in ours
        raise InputError(f"--env_id {env_id}: {_first_line(error)}") from error
    try:
        yield environment
    finally:
        environment.close()


def _first_frame(env_id: str, environment: Any) -> None:
    """Renders one frame, which loads the environment's rendering libraries.

    Raises:
      InputError: the environment does not render to frames.
    """
    try:
        environment.reset(seed=0)
        shape = np.shape(environment.render())
    except Exception as error:  # the environment's packages may raise any error
        raise InputError(f"--env_id {env_id}: does not render: {_first_line(error)}") from error
    if len(shape) != 3 or shape[-1] != 3:
        raise InputError(f"--env_id {env_id}: renders arrays of shape {shape}, not RGB frames")


def load_policy(policy: str) -> Policy:
    """Loads the function named by "FILE.py:FUNCTION" or "MODULE:FUNCTION".

    Raises:
      InputError: there is no such function.
    """
    place, _, name = policy.rpartition(":")
    try:
        if place.endswith(".py"):
            function = runpy.run_path(place)[name]
        else:
            function = getattr(importlib.import_module(place), name)
    except Exception as error:  # the user's code may raise anything
        raise InputError(
            f"--policy {policy}: no function there ({_first_line(error)}); give FILE.py:FUNCTION "
            "or MODULE:FUNCTION, a function of (observation, action_space, rng) that returns an "
            "action"
        ) from error
    if not callable(function):
        raise InputError(f"--policy {policy}: {name} is no function")
    return function


def _absolute(policy: str) -> str:
    place, colon, name = policy.rpartition(":")
    return f"{os.path.abspath(place)}{colon}{name}" if place.endswith(".py") else policy


class HeldRandomPolicy:
    """Random actions, each held for 1 to 2 `hold` - 1 steps; single steps would have no effect."""

    def __init__(self, hold: int):
        self._hold = hold
        self._left = 0
        self._action: Any = None

    def __call__(self, observation: Any, action_space: Any, rng: np.random.Generator) -> Any:
        if self._left == 0:
            self._action = action_space.sample()
            self._left = int(rng.integers(1, 2 * self._hold))
        self._left -= 1
        return self._action


def read_gymnasium(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Records one episode per item."""
    options = job.reader_options
    with make_environment(options["env_id"]) as environment:
        with _LOADING:  # threads must not load the same graphics library at the same time
            _first_frame(options["env_id"], environment)
        rate = float(environment.metadata.get("render_fps") or 0)
        for item in items:
            seed = [options["seed"], _SPLIT_SEEDS[item.source], item.record]
            if options["policy"] == "random":
                policy: Policy = HeldRandomPolicy(options["hold"])
            else:
                policy = load_policy(options["policy"])
            frames = _record(environment, policy, np.random.default_rng(seed), job.size)
            yield item, _checked(frames, rate)


def _record(
    environment: Any, policy: Policy, rng: np.random.Generator, size: FrameSize
) -> list[np.ndarray]:
    environment.action_space.seed(int(rng.integers(2**31)))
    observation, _ = environment.reset(seed=int(rng.integers(2**31)))
    frames = []
    for _ in range(EPISODE_FRAMES):
        frames.append(resize_to_cover(np.asarray(environment.render(), np.uint8)[None], size)[0])
        action = policy(observation, environment.action_space, rng)
        observation, _, terminated, truncated, _ = environment.step(action)
        if terminated or truncated:
            break
    return frames


def _checked(frames: list[np.ndarray], rate: float) -> Result:
    if len(frames) < _SHORTEST:
        return InputError(f"the episode ended after {len(frames)} frames")
    video = np.stack(frames)
    if (video == video[:1]).all():
        return InputError("nothing moves")
    return Video(video, rate)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
