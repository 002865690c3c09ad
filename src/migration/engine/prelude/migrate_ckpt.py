"""What scripts import from `migrate_ckpt`."""

CkptType = dict
MigrationCallback = object


class Migration:
    """A name and a callback."""

    def __init__(self, name, callback):
        self.name = name
        self.callback = callback
