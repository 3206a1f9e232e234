"""Converts interlaced frames to progressive frames."""

from collections.abc import Iterator

import av

_Kind = tuple[int, int, str]


class Deinterlacer:
    """Passes progressive frames through and interpolates the second field of interlaced ones.

    libav's bwdif (the BBC's filter with yadif's checks), with one output frame per input frame, is
    set up at the first frame that the codec marks as interlaced; earlier frames are unchanged.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._kind: _Kind | None = None

    def __call__(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Yields the finished frames; the filter needs one frame of lookahead."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        kind = (frame.width, frame.height, frame.format.name)
        if self._kind != kind:
            yield from self.flush()
            self._graph, self._kind = _graph(frame), kind
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yields the remaining frames of the filter."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = self._kind = None

    def _pull(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            yield frame


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph
