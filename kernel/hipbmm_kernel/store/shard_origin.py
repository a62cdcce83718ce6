"""Where a shard comes from: `<pod uid>.<rank>`, the first part of its file name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard import Shard

if TYPE_CHECKING:
    from hipbmm_kernel.contract.settings import Settings
    from hipbmm_kernel.identity.stack import Stack

WARM = "warm"
HARVEST = "harvest"
COMPACT = "compact"
MIRROR = "mirror"


def head(settings: Settings, stack: Stack, rank: str) -> Shard:
    """The first line of the shards that this process publishes; `rank` says which of a pod's programs it is.

    Outside a pod there is no uid; a random one keeps names apart, which is all that they are for.
    """
    uid = settings.pod_uid or f"local-{os.urandom(6).hex()}"
    return Shard(stack.key, f"{uid}.{rank}", 0, token=shards.token_digest(settings.retune_token))
