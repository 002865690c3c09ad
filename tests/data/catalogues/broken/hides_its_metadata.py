if True:
    metadata = MigrationMetadata(versions={"pkg": "1"})
