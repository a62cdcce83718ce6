"""The one error of the demo: what was expected, what was seen, and where to look."""


class DemoError(Exception):
    """A step did not reach its state. The message is for people; `evidence` holds logs and objects."""

    def __init__(self, message: str, evidence: str = "") -> None:
        super().__init__(message)
        self.evidence = evidence
