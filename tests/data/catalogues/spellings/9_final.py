from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(final=True, versions={"weather": "0.9"},)
