metadata = dict(versions={"pkg": "1"})
