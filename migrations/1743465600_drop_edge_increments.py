"""Drops the buffers `edge_inc`, which are now made when the graph is built.

Nothing that is left in the checkpoint tells what they were, so there is no rollback here.
"""

from anemoi.models.migrations import CkptType
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={
        "migration": "1.0.0",
        "anemoi-models": "0.10.5",
    },
)


def migrate(ckpt: CkptType) -> CkptType:
    for block in ("encoder", "processor", "decoder"):
        del ckpt["state_dict"][f"model.model.{block}.edge_inc"]
    return ckpt
