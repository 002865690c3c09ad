"""Renames the encoder's embedding of source nodes: `emb_nodes_src` becomes `embed_source`."""

from anemoi.models.migrations import CkptType
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={
        "migration": "1.0.0",
        "anemoi-models": "0.8.1",
    },
)

OLD = ".encoder.emb_nodes_src."
NEW = ".encoder.embed_source."


def rename(ckpt: CkptType, old: str, new: str) -> CkptType:
    state_dict = ckpt["state_dict"]
    for key in [key for key in state_dict if old in key]:
        state_dict[key.replace(old, new)] = state_dict.pop(key)
    # The optimizer keeps its moments by the number of the parameter, which stays, and the names beside it.
    for optimizer in ckpt["optimizer_states"]:
        for group in optimizer["param_groups"]:
            group["param_names"] = [name.replace(old, new) for name in group["param_names"]]
    return ckpt


def migrate(ckpt: CkptType) -> CkptType:
    return rename(ckpt, OLD, NEW)


def rollback(ckpt: CkptType) -> CkptType:
    return rename(ckpt, NEW, OLD)
