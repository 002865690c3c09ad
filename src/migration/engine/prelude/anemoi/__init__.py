"""Stands for the package of this name; only what migrations import is here."""


def __getattr__(name):
    from ckstore_objects import stand_in

    return stand_in(__name__, name)
