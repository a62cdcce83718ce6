"""How long news of children are gathered before they are looked at, so that what belongs together is one status."""

from collections.abc import Callable

from hipbmm_operator.kube.key import Key

_FIRST = 3
"""So many times longer a status waits for what becomes of children that are new, and of pods after news of a claim."""
_MANY = 20
"""With so many resources that have news at the same time, news are gathered for twice as long, and so on; and a new
resource gets no status before its children."""
_TRIFLE = 30
"""So many times longer a status waits that says next to nothing new, for one that does."""
_LONGEST = 10
"""So many times longer at most: a status is late by that, where 1,000 resources start at once."""


class News:
    """Which resources have news, and children that were just written."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: dict[Key, float] = {}
        self._trifles: dict[Key, float] = {}
        self._gathering: set[Key] = set()

    def gather(self, key: Key, *, first: bool = False) -> float:
        """There is news of a child: seconds after which to look. `first`: all that follows from it is still to come."""
        self._gathering.add(key)
        return self._window(_FIRST if first else 1)

    def taken(self, key: Key) -> None:
        """What was gathered is being looked at."""
        self._gathering.discard(key)

    def many(self) -> bool:
        """Whether so many resources have news at the same time that each status counts."""
        return len(self._gathering) >= _MANY

    def wait(self, key: Key, *, written: bool, failed: bool, first: bool) -> float | None:
        """Seconds that the status can wait; `first`: the Deployment is new, and all that follows is still to come.

        The wait does not grow with what is written meanwhile, and ends with a trouble.
        """
        now = self._clock()
        if written:
            self._until.setdefault(key, now + self._window(_FIRST if first else 1))
        left = self._until.get(key, now) - now
        if left > 0 and not failed:
            return left
        self._until.pop(key, None)
        return None

    def linger(self, key: Key, *, trifle: bool) -> float | None:
        """Seconds that a status can still wait; `trifle`: it says next to nothing new."""
        now = self._clock()
        if trifle:
            left = self._trifles.setdefault(key, now + self._seconds * _TRIFLE) - now
            if left > 0:
                return left
        self._trifles.pop(key, None)
        return None

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._until.pop(key, None)
        self._trifles.pop(key, None)
        self._gathering.discard(key)

    def _window(self, times: int) -> float:
        return self._seconds * min(_LONGEST, times * (1 + len(self._gathering) // _MANY))
