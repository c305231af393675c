"""Runs in the user's interpreter: imports files and writes their schemas as JSON, one line a file."""

import ast
import importlib
import importlib.util
import json
import os
import signal
import sys
import traceback

ours = os.path.dirname(os.path.abspath(__file__))
out = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what a file prints is no answer
sys.path[0] = os.getcwd()  # as with python -m; it was this file's folder


limit = float(sys.argv[1])


class Endless(BaseException):
    pass


def stop(*_):
    raise Endless(f"did not end within {limit:g}s")


def answer(value):
    out.write(json.dumps(value) + "\n")
    out.flush()


def is_own(path):
    """Whether a file is the user's: not of the interpreter, a library, or of this program."""
    path = os.path.abspath(path)
    if path.startswith((ours + os.sep, os.path.join(sys.base_prefix, "lib") + os.sep)) or "site-packages" in path:
        return False
    return path.endswith(".py") and "dist-packages" not in path


def load(path):
    """Imports a file under its name from the working directory, so that its own imports work; else by itself."""
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.append(folder)
    rel = os.path.relpath(path, os.getcwd())[: -len(".py")]
    parts = rel.split(os.sep)
    name = ".".join(parts)
    if all(p.isidentifier() for p in parts):
        spec = None
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            pass
        if spec is not None and spec.origin and os.path.exists(spec.origin) and os.path.samefile(spec.origin, path):
            return importlib.import_module(name)
    name = "rejot_collected_" + "".join(c if c.isalnum() else "_" for c in rel)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def is_schema(value):
    if not isinstance(value, dict):
        return False
    config = value.get("config")
    return (
        "outputSchema" in value
        or "sourceManifestSlug" in value
        or isinstance(config, dict)
        and ("publicSchemaType" in config or "consumerSchemaType" in config)
    )


def schemas(value, depth=0):
    if is_schema(value):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from schemas(one, depth)
    elif isinstance(value, dict) and depth < 1:
        for one in value.values():
            yield from schemas(one, depth + 1)


def lines_of(path):
    """The line of each variable that a file assigns."""
    lines = {}
    with open(path, "rb") as f:
        tree = ast.parse(f.read())
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                lines[target.id] = node.lineno
    return lines


def collect(path):
    module = load(path)
    made = {}
    if "rejot_contract._record" in sys.modules:
        made = {id(s): (file, line) for s, file, line in sys.modules["rejot_contract._record"].made}
    lines = lines_of(path)
    found, seen = [], set()
    for name, value in list(vars(module).items()):
        if name.startswith("_") or not isinstance(value, (dict, list)):
            continue
        for schema in schemas(value):
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            file, line = made.get(id(schema), (path, lines.get(name, 0)))
            try:
                json.dumps(schema, allow_nan=False)
            except (TypeError, ValueError) as e:
                return {"error": {"text": f"{name} is no JSON: {e}", "file": file, "line": line}}
            found.append({"file": file, "line": line, "schema": schema})
    return {"schemas": found}


def failure(path, e):
    """What went wrong, at the innermost place in the user's code."""
    where = {"file": path, "line": 0}
    for frame in traceback.extract_tb(e.__traceback__):
        if is_own(frame.filename):
            where = {"file": frame.filename, "line": frame.lineno}
    if isinstance(e, SyntaxError) and e.filename:
        where = {"file": e.filename, "line": e.lineno or 0, "column": e.offset or 0}
        text = f"{type(e).__name__}: {e.msg}"
    elif isinstance(e, Endless):
        text = str(e)
    elif isinstance(e, SystemExit):
        text = "ends the interpreter"
    elif isinstance(e, RecursionError):
        text = "calls itself without end"
    else:
        text = f"raises {type(e).__name__}: {e}"
    error = dict(where, text=text)
    if isinstance(e, ModuleNotFoundError) and e.name:
        error.update(text=f"imports {e.name}, which is not installed for {sys.executable}", missing=e.name)
    return {"error": error}


for number, path in json.load(sys.stdin):
    answer({"start": number})
    try:
        if hasattr(signal, "setitimer"):  # else the program outside waits a little longer
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, limit)
        result = collect(path)
    except BaseException as e:  # also what ends the interpreter
        result = failure(path, e)
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
    depends = [getattr(m, "__file__", None) for m in list(sys.modules.values())]
    result["depends"] = sorted({os.path.abspath(f) for f in depends if f and is_own(f)} - {os.path.abspath(sys.argv[0])})
    answer(dict(result, number=number))
