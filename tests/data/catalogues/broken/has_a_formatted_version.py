from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"pkg": f"{1}.0"})
