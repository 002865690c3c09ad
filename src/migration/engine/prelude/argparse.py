"""Only the class that checkpoints hold."""

from ckstore_objects import class_for

Namespace = class_for("argparse", "Namespace", False)
