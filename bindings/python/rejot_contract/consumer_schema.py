"""Consumer schemas: how a team writes the rows of a public schema into its own database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Literal, Optional

from ._record import plain, record
from .public_schema import Version

__all__ = [
    "ConsumerSchemaConfig",
    "InvalidConsumerSchemaError",
    "PublicSchema",
    "SourceManifest",
    "Version",
    "create_consumer_schema",
    "create_mysql_consumer_schema_config",
    "create_postgres_consumer_schema_config",
    "validate_consumer_schema",
]


class InvalidConsumerSchemaError(Exception):
    """A consumer schema lacks something."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.name = "InvalidConsumerSchemaError"


@dataclass
class ConsumerSchemaConfig:
    """A consumer schema's statements."""

    consumerSchemaType: Literal["postgres", "mysql"]
    destinationDataStoreSlug: str
    sql: str
    deleteSql: Optional[str] = None
    truncateSql: Optional[str] = None
    onError: Optional[Literal["pause", "quarantine"]] = None


@dataclass
class PublicSchema:
    """A public schema of a manifest."""

    name: str
    majorVersion: int


@dataclass
class SourceManifest:
    """The manifest of a public schema."""

    manifestSlug: str
    publicSchema: PublicSchema


def create_postgres_consumer_schema_config(
    destination_data_store_slug: str,
    sql: str,
    *,
    delete_sql: Optional[str] = None,
    truncate_sql: Optional[str] = None,
    on_error: Optional[Literal["pause", "quarantine"]] = None,
) -> ConsumerSchemaConfig:
    """Makes the config of a consumer schema whose destination is Postgres."""
    return ConsumerSchemaConfig("postgres", destination_data_store_slug, sql, delete_sql, truncate_sql, on_error)


def create_mysql_consumer_schema_config(
    destination_data_store_slug: str,
    sql: str,
    *,
    delete_sql: Optional[str] = None,
    truncate_sql: Optional[str] = None,
    on_error: Optional[Literal["pause", "quarantine"]] = None,
) -> ConsumerSchemaConfig:
    """Makes the config of a consumer schema whose destination is MySQL or MariaDB."""
    return ConsumerSchemaConfig("mysql", destination_data_store_slug, sql, delete_sql, truncate_sql, on_error)


def validate_consumer_schema(source: SourceManifest, config: ConsumerSchemaConfig, definitionFile: Optional[str] = None) -> None:
    """Raises where a part is empty."""
    source_dict, config_dict = plain(source), plain(config)
    if not source_dict.get("manifestSlug"):
        raise InvalidConsumerSchemaError("Source manifest slug cannot be empty")
    if not (source_dict.get("publicSchema") or {}).get("name"):
        raise InvalidConsumerSchemaError("Public schema name cannot be empty")
    if not config_dict.get("destinationDataStoreSlug"):
        raise InvalidConsumerSchemaError("Destination data store slug cannot be empty")
    if not config_dict.get("sql"):
        raise InvalidConsumerSchemaError("Consumer schema must have a SQL transformation")


def create_consumer_schema(
    name: str,
    source: SourceManifest,
    config: ConsumerSchemaConfig,
    definitionFile: Optional[str] = None,
) -> Dict[str, Any]:
    """Makes a consumer schema. Keep it in a public variable of the module, or in a list of them."""
    if not name:
        raise InvalidConsumerSchemaError("Consumer schema name cannot be empty")
    validate_consumer_schema(source, config, definitionFile)
    source_dict = plain(source)
    schema: Dict[str, Any] = {
        "name": name,
        "sourceManifestSlug": source_dict["manifestSlug"],
        "publicSchema": source_dict["publicSchema"],
        "config": plain(config),
    }
    if definitionFile is not None:
        schema["definitionFile"] = definitionFile
    return record(schema)
