"""Public schemas and consumer schemas of ReJot, for `rejot collect`."""

from .consumer_schema import (
    ConsumerSchemaConfig,
    InvalidConsumerSchemaError,
    PublicSchema,
    SourceManifest,
    create_consumer_schema,
    create_mysql_consumer_schema_config,
    create_postgres_consumer_schema_config,
)
from .public_schema import (
    InvalidPublicSchemaError,
    PublicSchemaConfig,
    PublicSchemaConfigTransformation,
    Source,
    Version,
    create_mysql_public_schema_transformation,
    create_postgres_public_schema_transformation,
    create_public_schema,
)

__all__ = [
    "ConsumerSchemaConfig",
    "InvalidConsumerSchemaError",
    "InvalidPublicSchemaError",
    "PublicSchema",
    "PublicSchemaConfig",
    "PublicSchemaConfigTransformation",
    "Source",
    "SourceManifest",
    "Version",
    "create_consumer_schema",
    "create_mysql_consumer_schema_config",
    "create_mysql_public_schema_transformation",
    "create_postgres_consumer_schema_config",
    "create_postgres_public_schema_transformation",
    "create_public_schema",
]
