"""Time as a value that can be replaced: everything that waits or measures gets a Clock."""

import time


class Clock:
    """The machine's clocks, in seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back; equal for all processes of one boot."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, as the node's clock has them."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def timestamp(seconds: float) -> str:
    """`seconds` since 1970 as RFC 3339 in UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
