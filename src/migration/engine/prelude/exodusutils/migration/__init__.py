"""Migration scripts are run by ckstore, not by themselves."""


def run_migration(*args, **kwargs):
    from ckstore_documents import not_supported

    raise not_supported("run_migration: ckstore runs the migrations")
