"""What `bulk_write` takes."""


class InsertOne:
    def __init__(self, document):
        self.document = document


class _Delete:
    def __init__(self, filter, collation=None, hint=None):
        from ckstore_documents import refuse

        refuse("bulk_write", collation=collation, hint=hint)
        self.filter = filter


class DeleteOne(_Delete):
    pass


class DeleteMany(_Delete):
    pass


class _Update:
    def __init__(self, filter, update, upsert=False, collation=None, array_filters=None, hint=None):
        from ckstore_documents import refuse

        refuse("bulk_write", collation=collation, array_filters=array_filters, hint=hint)
        self.filter = filter
        self.update = update
        self.upsert = bool(upsert)


class UpdateOne(_Update):
    pass


class UpdateMany(_Update):
    pass


class ReplaceOne:
    def __init__(self, filter, replacement, upsert=False, collation=None, hint=None):
        from ckstore_documents import refuse

        refuse("bulk_write", collation=collation, hint=hint)
        self.filter = filter
        self.replacement = replacement
        self.upsert = bool(upsert)
