// What is red in the editor: each line after the comment has to be an error.

import { createPostgresConsumerSchemaConfig, createPostgresPublicSchemaTransformations, postgresConsumerOf } from "@rejot-dev/adapter-postgres";
import { mysqlConsumerOf } from "@rejot-dev/adapter-mysql";
import { createConsumerSchema } from "@rejot-dev/contract/consumer-schema";
import { createPublicSchema, type PublicSchemaConfig, type RowOf } from "@rejot-dev/contract/public-schema";
import { z } from "zod";

const transformations = createPostgresPublicSchemaTransformations("insertOrUpdate", "account", "SELECT id FROM account WHERE id = :id");
const config: PublicSchemaConfig = { publicSchemaType: "postgres", transformations };
const outputSchema = z.object({ id: z.number(), name: z.string() });
const account = createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config, outputSchema });

// @ts-expect-error a field that a public schema does not have
createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config, outputSchema, onwer: "me" });
// @ts-expect-error the source is missing
createPublicSchema("a", { version: { major: 1, minor: 0 }, config, outputSchema });
// @ts-expect-error a version is two numbers
createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: "1.0", config, outputSchema });
// @ts-expect-error no keyword of JSON Schema
createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config, outputSchema: { typ: "object" } });
// @ts-expect-error no keyword of JSON Schema, in a field
createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config, outputSchema: { type: "object", properties: { id: { typ: "integer" } } } });
// @ts-expect-error no type of JSON Schema
createPublicSchema("a", { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config, outputSchema: { type: "text" } });
// @ts-expect-error another operation
createPostgresPublicSchemaTransformations("upsert", "account", "SELECT 1");
// @ts-expect-error rows is "one" or not said
createPostgresPublicSchemaTransformations("delete", "account", "SELECT 1", { rows: "two" });
// @ts-expect-error a database that is none
export const other: PublicSchemaConfig = { publicSchemaType: "oracle", transformations };
// @ts-expect-error a name that the options do not have
createPostgresConsumerSchemaConfig("reports", "INSERT INTO t VALUES (:id)", { deleteSQL: "DELETE FROM t" });
// @ts-expect-error a consumer reads a major version, not a version
createConsumerSchema("c", { source: { manifestSlug: "m", publicSchema: { name: "a", version: 1 } }, config: createPostgresConsumerSchemaConfig("reports", "SELECT 1") });
// @ts-expect-error the public schema has no field full_name
postgresConsumerOf(account)("reports", "INSERT INTO t VALUES (:id, :full_name)");
// @ts-expect-error a cast does not hide a field
postgresConsumerOf(account)("reports", "INSERT INTO t VALUES (:id, :naem::text, ':name')");
// @ts-expect-error no field of the row
mysqlConsumerOf<{ id: number }>()("shop", "INSERT INTO t VALUES (:id, :name)");
// @ts-expect-error name may not be a number
export const row: RowOf<typeof account> = { id: 1, name: 2 };
