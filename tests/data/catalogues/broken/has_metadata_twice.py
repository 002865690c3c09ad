from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"pkg": "1"})
metadata = MigrationMetadata(versions={"pkg": "2"})
