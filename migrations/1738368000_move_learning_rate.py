"""Moves the learning rate to the optimizer's settings, and the rest of `training.lr` to the scheduler's."""

from anemoi.models.migrations import CkptType
from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={
        "migration": "1.0.0",
        "anemoi-models": "0.8.3",
    },
)


def migrate(ckpt: CkptType) -> CkptType:
    training = ckpt["hyper_parameters"]["config"]["training"]
    schedule = training.pop("lr")
    training["optimizer"] = {"name": "adam", "lr": schedule.pop("rate")}
    training["scheduler"] = schedule
    return ckpt
