from anemoi.models.migrations import MigrationMetadata

V = {"pkg": "1"}
metadata = MigrationMetadata(versions=V)
