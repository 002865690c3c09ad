from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(final=True)
