def migrate(ckpt):
    return ckpt
