"""What the parts of a schema have in common, and where schemas were made."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from typing import Any, Dict, List, Tuple

# Each schema with the file and line that made it, for `rejot collect`. The schema is kept, so that its id stays its own.
made: List[Tuple[Dict[str, Any], str, int]] = []


def plain(value: Any) -> Any:
    """Makes dicts and lists of dataclasses, without what is None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def record(schema: Dict[str, Any]) -> Dict[str, Any]:
    """Remembers the caller's caller as the place of a schema."""
    frame = sys._getframe(2)
    made.append((schema, frame.f_code.co_filename, frame.f_lineno))
    return schema
