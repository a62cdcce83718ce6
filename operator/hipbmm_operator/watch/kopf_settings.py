"""TODO: what hipbmm_operator.watch.kopf_settings is."""

import random
from collections.abc import Iterable, Iterator

import kopf

from hipbmm_operator.kube import names
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.settings import Settings


class NoDiffs(kopf.DiffBaseStorage):
    """No object has an essence."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Nothing."""
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        """Nothing was stored."""

    def store(self, **_: object) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handler has a progress."""

    def fetch(self, **_: object) -> None:
        """Nothing was stored."""

    def store(self, **_: object) -> None:
        """Store nothing."""

    def purge(self, **_: object) -> None:
        """Nothing to purge."""

    def touch(self, **_: object) -> None:
        """Touch nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """As it is."""
        return essence


_FIRST_PAUSE_SECONDS = 1.0


_LONGEST_PAUSE_SECONDS = 10.0
"""Eight watches that ask so often cost an API server nothing, and after an outage they are back at once."""


_CONNECT_SECONDS = 10.0


_REQUEST_SECONDS = 30.0


_IDLE_SECONDS = 0.5


class Backoffs:
    """Endless pauses with full jitter: a watch never gives up, whatever the API server does."""

    def __iter__(self) -> Iterator[float]:
        ceiling = _FIRST_PAUSE_SECONDS
        while True:
            yield random.uniform(0.1, ceiling)  # noqa: S311  # spreads load, is no secret
            ceiling = min(_LONGEST_PAUSE_SECONDS, ceiling * 2)


def operator_settings(settings: Settings, kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    """kopf, told to watch and to leave everything else alone."""
    out = kopf.OperatorSettings()
    out.posting.enabled = False
    out.scanning.disabled = True
    out.peering.standalone = True
    out.process.ultimate_exiting_timeout = None
    # A name of our own even though none is used: kopf operators with the default name remove each other's.
    out.persistence.finalizer = f"{names.GROUP}/finalizer"
    # The API server parses whole seconds only.
    out.watching.server_timeout = int(settings.watch_seconds)
    out.persistence.diffbase_storage = NoDiffs()
    out.persistence.progress_storage = NoProgress()
    out.watching.connect_timeout = _CONNECT_SECONDS
    # The last event of each object is kept for so long: kopf's 5 s were hundreds of pods while many start.
    out.queueing.idle_timeout = _IDLE_SECONDS
    out.networking.request_timeout = _REQUEST_SECONDS
    out.networking.connect_timeout = _CONNECT_SECONDS
    out.networking.error_backoffs = Backoffs()
    for kind in kinds:
        if kind.group != names.GROUP and kind.namespaced:
            out.watching.label_selectors[kind.group, kind.version, kind.plural] = names.MANAGED_SELECTOR
    return out
