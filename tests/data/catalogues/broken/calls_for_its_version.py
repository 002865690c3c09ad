from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"pkg": str(1)})
