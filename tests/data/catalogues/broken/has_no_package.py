from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"migration": "1.0.0"})
