from anemoi.models.migrations import MigrationMetadata

metadata = MigrationMetadata(versions={"pkg": "1"})


def migrate(ckpt):
    return ckpt
