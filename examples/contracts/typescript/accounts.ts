import { createMysqlConsumerSchemaConfig } from "@rejot-dev/adapter-mysql";
import {
  createPostgresConsumerSchemaConfig,
  createPostgresPublicSchemaTransformations,
  PostgresPublicSchemaConfigBuilder,
} from "@rejot-dev/adapter-postgres";
import { createConsumerSchema, sourceOf } from "@rejot-dev/contract/consumer-schema";
import { createPublicSchema } from "@rejot-dev/contract/public-schema";
import { z } from "zod";

const source = { dataStoreSlug: "source" };

/** The query for every change of a table. */
function onChange(table: string, sql: string) {
  return new PostgresPublicSchemaConfigBuilder()
    .addTransformation(createPostgresPublicSchemaTransformations("insertOrUpdate", table, sql))
    .addTransformation(createPostgresPublicSchemaTransformations("delete", table, sql))
    .build();
}

const creditLine = createPublicSchema("credit-line", {
  source,
  version: { major: 1, minor: 0 },
  outputSchema: z.object({
    id: z.number().int(),
    name: z.string(),
    customer_id: z.number().int(),
    amount: z.number().int(),
    currency: z.number().int(),
  }),
  config: onChange(
    "orders",
    `SELECT o.id, c.name, o.customer_id, o.amount, o.currency
FROM orders o
JOIN customers c ON c.id = o.customer_id
WHERE o.id = :id`,
  ),
});

const publishAccount = createPublicSchema("publish-account", {
  source,
  version: { major: 1, minor: 0 },
  owner: "accounts",
  description: "An account with its e-mail addresses",
  outputSchema: z.object({
    id: z.number().int(),
    emails: z.array(z.string().nullable()).nullable(),
    firstName: z.string(),
    lastName: z.string(),
  }),
  config: onChange(
    "account",
    `SELECT a.id,
       (SELECT ARRAY_AGG(e.email ORDER BY e.id) FROM account_emails e WHERE e.account_id = a.id) AS emails,
       a.first_name AS "firstName", a.last_name AS "lastName"
FROM account a
WHERE a.id = :id`,
  ),
});

const accountToReports = createConsumerSchema("account-to-reports", {
  source: sourceOf("accounts", publishAccount),
  config: createPostgresConsumerSchemaConfig(
    "reports",
    `INSERT INTO account_destination (id, full_name, email)
VALUES (:id, :firstName || ' ' || :lastName, (:emails::text[])[1])
ON CONFLICT (id) DO UPDATE SET full_name = :firstName || ' ' || :lastName, email = (:emails::text[])[1]`,
    { deleteSql: "DELETE FROM account_destination WHERE id = :id" },
  ),
});

const accountToShop = createConsumerSchema("account-to-shop", {
  source: sourceOf("accounts", publishAccount),
  config: createMysqlConsumerSchemaConfig(
    "shop",
    `INSERT INTO account_destination (id, full_name, email)
VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]')`,
    { deleteSql: "DELETE FROM account_destination WHERE id = :id", onError: "quarantine" },
  ),
});

export default [creditLine, publishAccount, accountToReports, accountToShop];
