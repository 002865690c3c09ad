"""Stands for the package of this name; only what migrations import is here."""
