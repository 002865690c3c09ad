"""Stands in for exodusutils: what a migration script of it needs."""
