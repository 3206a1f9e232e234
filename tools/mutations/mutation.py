"""What a change of `tools/mutate.py` is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One rule, broken.

    Attributes:
        name: for `--only`.
        rule: what holds, in a few words.
        file: below `trivd_tf/`.
        edits: (fragment, what takes its place); each fragment occurs exactly once.
        tests: pytest node ids below `tests/`.
    """

    name: str
    rule: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the rule broken.

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
