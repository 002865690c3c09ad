"""Opens the group of 0.9.0: older checkpoints cannot be brought here."""

from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(
    versions={
        "migration": "1.0.0",
        "anemoi-models": "0.9.0",
    },
    final=True,
)
