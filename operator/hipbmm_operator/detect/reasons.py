"""Why a node was judged as it was: a stable code for programs and a sentence for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; prints as ``Code: detail``."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
