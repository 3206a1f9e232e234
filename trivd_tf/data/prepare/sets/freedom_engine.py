"""Records walks through Freedoom's maps: runs ViZDoom's engine in a separate process.

The engine is native code whose crash ends the whole process. `freedom_walks` therefore starts this
file as a program and communicates with it through pipes: each line of standard input is a request
(JSON), answered by a line of JSON on standard output and the stated number of bytes of frames.
Nothing of trivd_tf is imported, so that the program starts in half a second.
"""

import json
import os
import sys

import numpy as np

TICS_PER_SECOND = 35
_BUTTONS = (
    "MOVE_FORWARD",
    "MOVE_BACKWARD",
    "MOVE_LEFT",
    "MOVE_RIGHT",
    "TURN_LEFT",
    "TURN_RIGHT",
    "USE",
)
# Rendered at least twice as large as stored, because Doom's renderer does not filter its textures.
_SCREENS = ((160, 120), (320, 240), (640, 480), (1280, 960))
_LONGEST_WAY_IN = 20 * TICS_PER_SECOND
_SLOW = 1.5  # map units per tic; a player who walks forward more slowly is stuck


class Walker:
    """Policy that holds a random action for a while, mostly forward, and turns when it is stuck.

    Args:
        rng: random generator of all choices.
        tics: tics of game time between two decisions.
    """

    def __init__(self, rng, tics):
        self._rng = rng
        self._tics = tics
        self._left = 0
        self._action = [0] * len(_BUTTONS)

    def next_action(self, speed):
        """Returns the buttons to press; `speed` is in map units per tic since the last decision."""
        forward = self._action[_BUTTONS.index("MOVE_FORWARD")]
        if forward and speed < _SLOW:
            self._turn()
        elif self._left <= 0:
            self._choose()
        self._left -= self._tics
        return self._action

    def _press(self, *names):
        self._action = [int(name in names) for name in _BUTTONS]

    def _turn(self):
        """Turns away from the wall by about 30 to 100 degrees and pushes, which opens doors."""
        side = "TURN_LEFT" if self._rng.random() < 0.5 else "TURN_RIGHT"
        self._press(side, "USE")
        self._left = int(self._rng.integers(10, 28))

    def _choose(self):
        draws = self._rng.random(4)
        names = []
        if draws[0] < 0.85:
            names.append("MOVE_FORWARD")
        elif draws[0] < 0.9:
            names.append("MOVE_BACKWARD")
        if draws[1] < 0.6:
            names.append("TURN_LEFT" if draws[1] < 0.3 else "TURN_RIGHT")
        if draws[2] < 0.2:
            names.append("MOVE_LEFT" if draws[2] < 0.1 else "MOVE_RIGHT")
        if draws[3] < 0.2:
            names.append("USE")
        self._press(*names)
        self._left = int(self._rng.integers(8, 28))


class Engine:
    """ViZDoom with Freedoom's phase 2.

    Args:
        size: side of the stored frames, in pixels.
    """

    def __init__(self, size):
        import vizdoom

        self._size = size
        width, height = next((one for one in _SCREENS if one[1] >= 2 * size), _SCREENS[-1])
        game = vizdoom.DoomGame()
        folder = os.path.dirname(vizdoom.__file__)
        game.set_doom_game_path(os.path.join(folder, "freedoom2.wad"))
        game.set_doom_map("map01")
        game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{width}X{height}"))
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        for part in ("hud", "weapon", "crosshair", "decals", "particles", "messages"):
            getattr(game, f"set_render_{part}")(False)
        game.set_available_buttons([getattr(vizdoom.Button, name) for name in _BUTTONS])
        self._place = [vizdoom.GameVariable.POSITION_X, vizdoom.GameVariable.POSITION_Y]
        game.set_available_game_variables(self._place)
        game.set_episode_timeout(0)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.add_game_args("+sv_noautoaim 1")
        game.init()
        self._game = game

    def walk(self, map_name, seed, frames, tics):
        """Records one walk, which depends only on the arguments.

        Args:
            map_name: name of the map, such as `map07`.
            seed: list of integers.
            frames: number of frames to record.
            tics: tics of game time from frame to frame.

        Returns:
            uint8 `[at most frames, size, size, 3]`; fewer frames if the level ended.
        """
        rng = np.random.default_rng(seed)
        self._game.set_doom_map(map_name)
        self._game.set_seed(int(rng.integers(2**31)))
        self._game.new_episode()
        for command in ("god", "notarget"):
            self._game.send_game_command(command)
        # Each level has only one start position, so the distance walked before recording varies.
        walker = Walker(rng, 4)
        self._go(walker, 4, int(rng.integers(_LONGEST_WAY_IN)) // 4, record=False)
        return np.array(self._go(Walker(rng, tics), tics, frames, record=True), np.uint8)

    def _go(self, walker, tics, count, *, record):
        recorded = []
        last, speed = None, 0.0
        for _ in range(count):
            if self._game.is_episode_finished():
                break
            self._game.make_action(walker.next_action(speed), tics)
            state = self._game.get_state()
            if state is None:
                break
            place = np.array(state.game_variables[:2])
            speed = 0.0 if last is None else float(np.linalg.norm(place - last)) / tics
            last = place
            if record:
                recorded.append(self._small(state.screen_buffer))
        return recorded

    def _small(self, screen):
        """Returns the center square of the screen, downscaled by area averaging."""
        from PIL import Image

        height, width = screen.shape[:2]
        left = (width - height) // 2
        square = Image.fromarray(screen[:, left : left + height])
        return np.asarray(square.resize((self._size, self._size), Image.Resampling.BOX))


def main():
    """Serves requests until standard input ends."""
    # Output printed by the engine must not get between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = Engine(int(sys.argv[1]))
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin:
        frames = engine.walk(**json.loads(line))
        answers.write(json.dumps({"frames": len(frames)}).encode() + b"\n" + frames.tobytes())
        answers.flush()


if __name__ == "__main__":
    main()
