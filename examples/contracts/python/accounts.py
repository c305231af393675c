"""The contracts of the accounts example in Python."""

from rejot_contract.consumer_schema import (
    PublicSchema,
    SourceManifest,
    create_consumer_schema,
    create_mysql_consumer_schema_config,
    create_postgres_consumer_schema_config,
)
from rejot_contract.public_schema import (
    PublicSchemaConfig,
    Source,
    Version,
    create_postgres_public_schema_transformation,
    create_public_schema,
)

_source = Source(dataStoreSlug="source")


def _row(**fields):
    """The JSON Schema of rows that have exactly these fields."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
        "$schema": "http://json-schema.org/draft-07/schema#",
    }


def _on_change(table, sql):
    """The query for every change of a table."""
    return PublicSchemaConfig(
        publicSchemaType="postgres",
        transformations=[
            *create_postgres_public_schema_transformation("insertOrUpdate", table, sql),
            *create_postgres_public_schema_transformation("delete", table, sql),
        ],
    )


credit_line = create_public_schema(
    "credit-line",
    source=_source,
    output_schema=_row(
        id={"type": "integer"},
        name={"type": "string"},
        customer_id={"type": "integer"},
        amount={"type": "integer"},
        currency={"type": "integer"},
    ),
    version=Version(major=1, minor=0),
    config=_on_change(
        "orders",
        """SELECT o.id, c.name, o.customer_id, o.amount, o.currency
FROM orders o
JOIN customers c ON c.id = o.customer_id
WHERE o.id = :id""",
    ),
)

publish_account = create_public_schema(
    "publish-account",
    source=_source,
    output_schema=_row(
        id={"type": "integer"},
        emails={"type": ["array", "null"], "items": {"type": ["string", "null"]}},
        firstName={"type": "string"},
        lastName={"type": "string"},
    ),
    version=Version(major=1, minor=0),
    owner="accounts",
    description="An account with its e-mail addresses",
    config=_on_change(
        "account",
        """SELECT a.id,
       (SELECT ARRAY_AGG(e.email ORDER BY e.id) FROM account_emails e WHERE e.account_id = a.id) AS emails,
       a.first_name AS "firstName", a.last_name AS "lastName"
FROM account a
WHERE a.id = :id""",
    ),
)

_account = SourceManifest(manifestSlug="accounts", publicSchema=PublicSchema(name="publish-account", majorVersion=1))

account_to_reports = create_consumer_schema(
    "account-to-reports",
    source=_account,
    config=create_postgres_consumer_schema_config(
        "reports",
        """INSERT INTO account_destination (id, full_name, email)
VALUES (:id, :firstName || ' ' || :lastName, (:emails::text[])[1])
ON CONFLICT (id) DO UPDATE SET full_name = :firstName || ' ' || :lastName, email = (:emails::text[])[1]""",
        delete_sql="DELETE FROM account_destination WHERE id = :id",
    ),
)

account_to_shop = create_consumer_schema(
    "account-to-shop",
    source=_account,
    config=create_mysql_consumer_schema_config(
        "shop",
        """INSERT INTO account_destination (id, full_name, email)
VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]')""",
        delete_sql="DELETE FROM account_destination WHERE id = :id",
        on_error="quarantine",
    ),
)
