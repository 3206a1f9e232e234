"""Optional work during training: samples, summaries and scores."""

import contextlib
from collections.abc import Callable, Iterator


class Optional:
    """Keeps failures of optional work from ending the run; reports each kind of failure once.

    Args:
        report: called with a line.
    """

    def __init__(self, report: Callable[[str], None]):
        self._report = report
        self._reported: set[str] = set()

    @contextlib.contextmanager
    def work(self, what: str) -> Iterator[None]:
        """Report any error inside the context instead of raising it; a signal still ends the run.

        Args:
            what: name of the work, for the report.
        """
        try:
            yield
        except Exception as error:  # any failure: the trained steps must not be lost
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            if f"{what} {reason}" not in self._reported:
                self._reported.add(f"{what} {reason}")
                self._report(f"trivd: warning: {what} left out, training continues: {reason}")
