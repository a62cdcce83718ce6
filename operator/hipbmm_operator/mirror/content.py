"""What a mirror holds: shards by name, as the data of a ConfigMap. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.shards import MAX_PACKED_BYTES, Shard, ShardError, check

GZIP = ".gz"
MAX_DEMANDS = 32
"""Pods whose demand is kept: 0.1 MB at most, of the 0.9 that a ConfigMap holds."""


@dataclass(frozen=True, slots=True)
class Content:
    """Shards by name."""

    shards: Mapping[str, Shard] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of names and bytes: the same content has the same digest."""
        return digest({f"{name}{GZIP}": shard.packed for name, shard in self.shards.items()})

    @property
    def size(self) -> int:
        """Bytes of the shards and their names."""
        return sum(len(name) + len(shard.packed) for name, shard in self.shards.items())

    @property
    def fits(self) -> bool:
        """Whether one ConfigMap can hold it."""
        return self.size <= MAX_PACKED_BYTES

    def binary(self) -> dict[str, str]:
        """As a ConfigMap's `binaryData`: gzipped shards, as the program reads them from a flat mirror."""
        return {
            f"{name}{GZIP}": base64.b64encode(self.shards[name].packed).decode("ascii") for name in sorted(self.shards)
        }

    def joined(self, more: Iterable[Shard]) -> "Content":
        """With more shards, and without those that another one names as its input. Order does not matter.

        Of demand the newest of each pod stays, of the last MAX_DEMANDS pods, as far as it fits beside the rows.
        """
        together = {**self.shards, **{shard.name: shard for shard in more}}
        replaced = {name for shard in together.values() for name in shard.inputs if name != shard.name}
        kept = {name: each for name, each in together.items() if name not in replaced and not shards.is_demand(name)}
        demands = sorted(filter(shards.is_demand, together), key=lambda name: (shards.number(name), name))
        newest = {shards.origin(name): name for name in demands}
        for name in sorted(newest.values(), key=demands.index, reverse=True)[:MAX_DEMANDS]:
            grown = Content({**kept, name: together[name]})
            if not grown.fits:
                break
            kept[name] = together[name]
        return Content(kept)


def parse(binary: object) -> Content:
    """The valid shards in a ConfigMap's `binaryData`; anything else in it is left out."""
    found = {}
    for key, data in _decoded(binary).items():
        name = key.removesuffix(GZIP)
        try:
            found[name] = check(name, data)
        except ShardError:
            continue
    return Content(found)


def digest(data: Mapping[str, bytes]) -> str:
    """Digest of keys and bytes."""
    lines = [f"{key} {hashlib.sha256(data[key]).hexdigest()}\n" for key in sorted(data)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def summary(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a ConfigMap's content in memory: its digest, its keys, and whether it is immutable."""
    binary = _decoded(body.get("binaryData"))
    plain = body.get("data")
    return {
        "digest": digest(binary),
        "keys": sorted(binary),
        "extra": sorted(plain) if isinstance(plain, dict) else [],
        "immutable": body.get("immutable") is True,
    }


def _decoded(binary: object) -> dict[str, bytes]:
    found = {}
    for key, value in (binary if isinstance(binary, dict) else {}).items():
        try:
            found[str(key)] = base64.b64decode(str(value), validate=True)
        except binascii.Error:
            found[str(key)] = b""
    return found
