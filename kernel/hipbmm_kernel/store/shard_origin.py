"""The origin of shards: `<pod uid>.<rank>`, the first part of their file names, and the node for vetoes."""

import os

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system import digest

WARM = "warm"
HARVEST = "harvest"
COMPACT = "compact"
MIRROR = "mirror"


def head(settings: Settings, stack: Stack, rank: str) -> Shard:
    """The first line of the shards that this process publishes; `rank` says which of a pod's programs it is.

    Outside a pod there is no uid; a random one keeps names apart, which is all that they are for.
    """
    uid = settings.pod_uid or f"local-{os.urandom(6).hex()}"
    token = shards.token_digest(settings.retune_token)
    return Shard(stack.key, f"{uid}.{rank}", 0, token=token, node=node_of(settings))


def node_of(settings: Settings) -> str:
    """What stands for this machine in a veto: a digest of its name, so that no store spreads names of nodes."""
    name = settings.node_name or os.uname().nodename
    return digest.sha256(name.encode(errors="replace"))[: gemm.NODE_DIGITS]
