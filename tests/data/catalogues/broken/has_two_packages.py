from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"one": "1", "two": "2"})
