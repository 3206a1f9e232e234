"""Work that training can do without: samples, summaries, scores."""

import contextlib
from collections.abc import Callable, Iterator


class Optional:
    """Lets optional work fail without ending the run; each kind of failure is reported once.

    Args:
        report: gets a line.
    """

    def __init__(self, report: Callable[[str], None]):
        self._report = report
        self._reported: set[str] = set()

    @contextlib.contextmanager
    def work(self, what: str) -> Iterator[None]:
        """Within it any error is reported instead of raised; a signal still ends the run.

        Args:
            what: is left out, for the report.
        """
        try:
            yield
        except Exception as error:  # whatever goes wrong here, the steps that were trained count
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            if f"{what} {reason}" not in self._reported:
                self._reported.add(f"{what} {reason}")
                self._report(f"trivd: warning: {what} left out, training continues: {reason}")
