"""Runs one function of one script on one checkpoint. Its arguments: script, function, checkpoint, result, answer."""

import importlib.util
import json
import pathlib
import platform
import sys
import traceback


def run(script, function, source, result, answer):
    import torch

    answer["engine"] = f"python-{platform.python_version()} torch-{torch.__version__}"
    checkpoint = torch.load(source, map_location="cpu", weights_only=False)
    spec = importlib.util.spec_from_file_location(pathlib.Path(script).stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    returned = getattr(module, function)(checkpoint)
    if isinstance(checkpoint, dict) and not isinstance(returned, dict) or returned is None:
        answer["returned"] = type(returned).__name__
    else:
        torch.save(returned, result)


def main():
    script, function, source, result, told = sys.argv[1:]
    answer = {}
    try:
        run(script, function, source, result, answer)
    except BaseException as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
        if isinstance(error, SyntaxError) and error.filename == script:
            lines = [error.lineno]
        answer["error"] = {
            "exception": type(error).__name__,
            "message": str(error),
            "line": lines[-1] if lines else None,
        }
    pathlib.Path(told).write_text(json.dumps(answer))


main()
