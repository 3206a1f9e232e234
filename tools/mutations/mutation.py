"""A mutation of `tools/mutate.py`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One broken rule.

    Attributes:
        name: name for `--only`.
        rule: the rule, in a few words.
        file: file below `trivd_tf/`.
        edits: (fragment, replacement); each fragment occurs exactly once.
        tests: pytest node ids below `tests/`.
    """

    name: str
    rule: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the file's text with the rule broken.

        Raises:
            ValueError: a fragment is not found, or found more than once.
        """
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(
                    f"{self.name}: the fragment {old!r} occurs {text.count(old)} times in "
                    f"trivd_tf/{self.file}; it must occur once"
                )
            text = text.replace(old, new)
        return text
