"""The base class of migration scripts, as exodusutils 0.3.53 has it."""

import abc


class BaseMigration(abc.ABC):
    """A migration of all documents of a collection."""

    def __init__(self, timestamp, name):
        self.timestamp = timestamp
        self.name = name
        self.mongo_name = f"{timestamp}_{name}"

    @abc.abstractmethod
    def up(self, collection):
        raise NotImplementedError

    @abc.abstractmethod
    def down(self, collection):
        raise NotImplementedError
