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
    """The first line of the shards that this process publishes; `rank` says which of a pod's programs it is."""
    token = shards.token_digest(settings.retune_token)
    return Shard(stack.key, f"{pod_of(settings)}.{rank}", 0, token=token, node=node_of(settings))


def pod_of(settings: Settings) -> str:
    """The pod's uid; outside a pod a random one, which keeps names apart: that is all that they are for."""
    return settings.pod_uid or f"local-{os.urandom(6).hex()}"


def node_of(settings: Settings) -> str:
    """What stands for this machine in a veto: a digest of its name, so that no store spreads names of nodes."""
    name = settings.node_name or os.uname().nodename
    return digest.sha256(name.encode(errors="replace"))[: gemm.NODE_DIGITS]
