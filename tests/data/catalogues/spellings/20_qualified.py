import anemoi.models.migrations as migrations

metadata: migrations.MigrationMetadata = migrations.MigrationMetadata(
    {"weather": "%NEXT_" "WEATHER_VERSION%", "other": "1"}, False
)


def migrate_setup(context):
    context.delete_module("weather.old")


def migrate(ckpt):
    return ckpt


rollback = migrate
