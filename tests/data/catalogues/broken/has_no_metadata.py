def handle(ckpt):
    return ckpt
