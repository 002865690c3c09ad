from anemoi.models.migrations import MigrationMetadata
from weather.tools import rename_layers as migrate

metadata = MigrationMetadata(final=False, versions=({"weather": "1.0"}))
rollback = None
