"""Drives the real binary."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile


class Refused(Exception):
    """The binary ended with an error."""

    def __init__(self, arguments, code, message, exit_code, hint=None):
        super().__init__(f"`ckstore {' '.join(map(str, arguments))}` ended with {exit_code}: {code}: {message}")
        self.code, self.message, self.exit_code, self.hint = code, message, exit_code, hint


class Store:
    """A store in a folder of its own, gone at the end."""

    binary = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ckstore-interop-"))
        self.path = self.folder / "store"
        self.run("init")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *arguments):
        """The JSON that a command prints."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CKSTORE_")}
        command = [self.binary, "--json", "--store", self.path, *arguments]
        # A file that brings the binary to hang is a finding, not the end of the run.
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, timeout=300)
        try:
            answer = json.loads(done.stdout or done.stderr or "{}")
        except ValueError:
            answer = {"error": {"code": "none", "message": (done.stdout + done.stderr).decode("utf-8", "replace")[:500]}}
        if done.returncode != 0 or "error" in answer:
            error = answer.get("error", {})
            said = error.get("message") or done.stderr.decode("utf-8", "replace")[-500:]
            raise Refused(arguments, error.get("code"), said, done.returncode, error.get("hint"))
        return answer

    def catalogue(self, scripts, name="catalogue"):
        """Writes a catalogue from names and sources and returns its folder."""
        folder = self.folder / name
        folder.mkdir()
        for stem, source in scripts.items():
            (folder / f"{stem}.py").write_text(source)
        return folder

    def migrated(self, path, catalogue, *arguments, baseline="base"):
        """Takes a file in and writes it out as the catalogue's last migration leaves it."""
        imported = self.run("import", path, "--name", "case", "--catalogue", catalogue)
        if imported["applied"] is None:
            self.run("baseline", "case", "--to", baseline)
        output = self.folder / "migrated"
        self.run("checkout", "case", "--to", "next", "-o", output, *arguments)
        return output
