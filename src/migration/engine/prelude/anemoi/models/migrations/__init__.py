"""What migration scripts import from `anemoi.models.migrations`."""

from ckstore_objects import MissingAttribute

CkptType = dict


class MigrationMetadata:
    """Versions of a migration, and whether it opens a compatibility group."""

    def __init__(self, versions, final=False):
        self.versions = versions
        self.final = final


class MigrationContext:
    """Collects which modules and classes moved or went away."""

    def __init__(self):
        self.attribute_paths = {}
        self.module_paths = {}
        self.deleted_attributes = []
        self.deleted_modules = []

    def delete_attribute(self, path):
        self.deleted_attributes.append(path)

    def delete_module(self, path):
        self.deleted_modules.append(path)

    def move_attribute(self, path_start, path_end):
        _move(self.attribute_paths, path_start, path_end)

    def move_module(self, path_start, path_end):
        _move(self.module_paths, path_start, path_end)


def _move(paths, start, end):
    # Moves chain: what arrived at `start` goes on to `end`, and so does what was there before.
    for old, new in paths.items():
        if new == start:
            paths[old] = end
    paths[start] = end


def __getattr__(name):
    from ckstore_objects import stand_in

    return stand_in(__name__, name)
