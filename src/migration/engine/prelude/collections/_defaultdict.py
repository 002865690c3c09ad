from ckstore_objects import defaultdict

__all__ = ["defaultdict"]
