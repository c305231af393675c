"""Public schemas: what a team publishes of its database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Optional, Protocol, Union

from ._record import plain, record


class InvalidPublicSchemaError(Exception):
    """A public schema lacks something."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.name = "InvalidPublicSchemaError"


@dataclass
class PublicSchemaConfigTransformation:
    """A query for the changes of one table.

    params, keys and rows are for what cannot be proved: see the page on contracts.
    """

    operation: Literal["insert", "update", "delete"]
    table: str
    sql: str
    params: Optional[Dict[str, str]] = None
    keys: Optional[str] = None
    rows: Optional[Literal["one"]] = None


PostgresPublicSchemaConfigTransformation = PublicSchemaConfigTransformation


@dataclass
class Version:
    """A new major for what breaks a reader, a new minor for what does not."""

    major: int
    minor: int


@dataclass
class PublicSchemaConfig:
    """A public schema's queries."""

    publicSchemaType: Literal["postgres", "mysql"]
    transformations: List[PublicSchemaConfigTransformation]


@dataclass
class Source:
    """The data store that a public schema reads."""

    dataStoreSlug: str


class Model(Protocol):
    """A model class of pydantic."""

    @classmethod
    def model_json_schema(cls) -> Dict[str, Any]: ...


def _transformations(
    operation: str, table: str, sql: str, params: Optional[Dict[str, str]], keys: Optional[str], rows: Optional[Literal["one"]]
) -> List[PublicSchemaConfigTransformation]:
    if operation == "insertOrUpdate":
        return [
            PublicSchemaConfigTransformation("insert", table, sql, params, keys, rows),
            PublicSchemaConfigTransformation("update", table, sql, params, keys, rows),
        ]
    if operation == "delete":
        return [PublicSchemaConfigTransformation("delete", table, sql, params, keys, rows)]
    raise ValueError(f"Invalid operation: {operation}")


def create_postgres_public_schema_transformation(
    operation: Literal["insertOrUpdate", "delete"],
    table: str,
    sql: str,
    *,
    params: Optional[Dict[str, str]] = None,
    keys: Optional[str] = None,
    rows: Optional[Literal["one"]] = None,
) -> List[PublicSchemaConfigTransformation]:
    """Makes the transformations of one table: insert and update, or delete."""
    return _transformations(operation, table, sql, params, keys, rows)


def create_mysql_public_schema_transformation(
    operation: Literal["insertOrUpdate", "delete"],
    table: str,
    sql: str,
    *,
    params: Optional[Dict[str, str]] = None,
    keys: Optional[str] = None,
    rows: Optional[Literal["one"]] = None,
) -> List[PublicSchemaConfigTransformation]:
    """Makes the transformations of one table of MySQL or MariaDB: insert and update, or delete."""
    return _transformations(operation, table, sql, params, keys, rows)


def create_public_schema(
    public_schema_name: str,
    source: Source,
    output_schema: Union[type, Dict[str, Any], Model],
    version: Version,
    config: PublicSchemaConfig,
    *,
    owner: Optional[str] = None,
    description: Optional[str] = None,
    validate: Optional[Literal["off", "warn", "stop"]] = None,
    freshness: Optional[str] = None,
    upcast: Optional[List[Dict[str, Any]]] = None,
) -> Dict[str, Any]:
    """Makes a public schema. Keep it in a public variable of the module, or in a list of them.

    output_schema is JSON Schema (draft-07) as a dict, or a model class of pydantic.
    """
    if not public_schema_name:
        raise InvalidPublicSchemaError("Public schema name cannot be empty")
    config_dict = plain(config)
    if not config_dict.get("transformations"):
        raise InvalidPublicSchemaError("Public schema must have at least one transformation")
    schema: Dict[str, Any] = {
        "name": public_schema_name,
        "source": plain(source),
        "outputSchema": _json_schema(output_schema),
        "version": plain(version),
        "config": config_dict,
    }
    extras = {"owner": owner, "description": description, "validate": validate, "freshness": freshness, "upcast": upcast}
    schema.update({k: plain(v) for k, v in extras.items() if v is not None})
    return record(schema)


def _json_schema(output_schema: Any) -> Dict[str, Any]:
    if isinstance(output_schema, dict):
        return output_schema
    for method in ("model_json_schema", "schema"):  # pydantic 2 and 1
        if hasattr(output_schema, method):
            return getattr(output_schema, method)()
    raise InvalidPublicSchemaError("output_schema has to be a dict or a pydantic model")
