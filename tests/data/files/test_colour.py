"""Range, depth, high dynamic range and interlacing, against ffmpeg and plain NumPy."""

import numpy as np
import pytest

from tests.data.files.ffmpeg import ffmpeg_frames, largest_difference, needs_ffmpeg, run_ffmpeg
from trivd_tf.data.files import colour
from trivd_tf.data.files.decode import decode_frames


def read(path, **options):
    return np.stack(list(decode_frames(path, **options)))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("pixels", "range_", "matrix"),
    [
        ("yuv444p", "tv", "bt709"),
        ("yuv444p", "pc", "bt709"),
        ("yuv420p", "tv", "smpte170m"),
        ("yuv420p", "pc", "smpte170m"),
        ("yuv422p10le", "tv", "bt709"),
        ("yuv444p12le", "pc", "smpte170m"),
        ("gray", "pc", "bt709"),
    ],
)
def test_range_depth_and_matrix_are_those_of_ffmpeg(tmp_path, pixels, range_, matrix):
    path = tmp_path / "v.mkv"
    run_ffmpeg(
        *["-f", "lavfi", "-i", "testsrc2=s=96x72:r=5:d=0.4"],
        *["-vf", f"scale=out_color_matrix={matrix}:out_range={range_},format={pixels}"],
        *["-color_range", range_, "-colorspace", matrix, "-c:v", "ffv1", path],
    )
    assert largest_difference(read(path), ffmpeg_frames(path, 72, 96)) <= 2


def pq_signal(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, equation 5.1, from its rational constants: cd/m2 to signal."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    y = (light / 10_000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def greys(signal: np.ndarray) -> np.ndarray:
    return np.repeat(np.round(signal * 65535).astype(np.uint16)[None, :, None], 3, axis=-1)


def test_dark_light_keeps_its_brightness_and_the_peak_is_white():
    light = np.array([0, 1, 10, 40, 60, 203, 600, 1000, 4000])
    shown = colour.tone_map(greys(pq_signal(light)), "PQ", 1000)[0, :, 0]
    expected = 255 * (light[:5] / 203) ** (1 / 2.4)  # a BT.1886 display whose white is 203 cd/m2
    assert np.abs(shown[:5] - expected).max() <= 1
    assert (np.diff(shown[:8].astype(int)) > 0).all()
    assert shown[7] == shown[8] == 255
    assert 170 < shown[5] < 230  # diffuse white: bright, with room for highlights above it


def test_hlg_is_what_its_standard_says():
    # ITU-R BT.2408-7, table 1: 75 % HLG is diffuse white, 203 cd/m2; so is 58 % PQ.
    hlg = colour.tone_map(greys(np.array([0.75, 0.38])), "HLG", 1000)[0, :, 0].astype(int)
    pq = colour.tone_map(greys(pq_signal(np.array([203, 26]))), "PQ", 1000)[0, :, 0]
    assert np.abs(hlg - pq).max() <= 2


def hdr_video(path, transfer: str):
    run_ffmpeg(
        *["-f", "lavfi", "-i", "testsrc2=s=96x72:r=5:d=0.4"],
        *["-vf", "scale=out_color_matrix=bt2020nc:out_range=tv,format=yuv444p10le"],
        *["-color_range", "tv", "-colorspace", "bt2020nc", "-color_primaries", "bt2020"],
        *["-color_trc", transfer, "-c:v", "ffv1", path],
    )
    return path


@needs_ffmpeg
def test_pq_is_tone_mapped_as_by_ffmpegs_zscale_and_tonemap(tmp_path):
    path = hdr_video(tmp_path / "v.mkv", "smpte2084")
    ours = read(path)
    theirs = ffmpeg_frames(
        path,
        72,
        96,
        filters="zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
        "tonemap=mobius:param=0.3:desat=0:peak=4.926,zscale=t=bt709:m=gbr:r=full,format=gbrp",
    )
    assert largest_difference(ours, theirs) <= 2


def woven(count: int) -> np.ndarray:
    """Interlaced `[N, 64, 64, 3]`: a bar that moves between the two fields of each frame."""
    fields = np.zeros((2 * count, 64, 64, 3), np.uint8)
    for number, field in enumerate(fields):
        field[:, 4 * number : 4 * number + 12] = 220
    frames = fields[::2].copy()
    frames[:, 1::2] = fields[1::2, 1::2]
    return frames


def combing(frames: np.ndarray) -> float:
    """How much neighbouring rows differ."""
    return float(np.abs(np.diff(frames.astype(int), axis=1)).mean())


def test_interlaced_frames_are_filled_in(tmp_path):
    frames = woven(6)
    path = tmp_path / "v.mkv"
    write_interlaced(path, frames)
    shown = read(path)
    assert len(shown) == 6
    assert combing(frames) > 10
    assert combing(shown) < combing(frames) / 4
    # One moment a frame: that of one field, the same field all along.
    centres = [(np.flatnonzero(frame[32, :, 1] > 110)).mean() for frame in shown[1:-1]]
    assert (np.diff(centres) == 8).all()
    assert centres[0] in (8 + 5.5, 8 + 9.5)


def write_interlaced(path, frames):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"qscale": "2"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # CODEC_FLAG_INTERLACED_DCT and _ME: the encoder marks its frames as interlaced.
        stream.codec_context.flags |= 1 << 18 | 1 << 29
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@needs_ffmpeg
def test_filled_in_frames_are_those_of_ffmpegs_bwdif(tmp_path):
    path = tmp_path / "v.mkv"
    write_interlaced(path, woven(6))
    theirs = ffmpeg_frames(path, 64, 64, filters="bwdif=mode=send_frame:deint=interlaced")
    ours = read(path)
    assert np.abs(ours.astype(int) - theirs).mean() < 2
