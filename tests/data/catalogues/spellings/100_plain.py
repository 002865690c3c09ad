"""Renames the first layer.

More about it.
"""

from anemoi.models.migrations import CkptType, MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0", "weather": "0.8.1"})


def migrate(ckpt: CkptType) -> CkptType:
    ckpt["state_dict"]["b"] = ckpt["state_dict"].pop("a")
    return ckpt


def rollback(ckpt: CkptType) -> CkptType:
    ckpt["state_dict"]["a"] = ckpt["state_dict"].pop("b")
    return ckpt
