// What compiles: the original's calls, with zod 3, zod 4 and JSON Schema, and the typed helpers.

import { createPostgresConsumerSchemaConfig, createPostgresPublicSchemaTransformations, PostgresPublicSchemaConfigBuilder, postgresConsumerOf } from "@rejot-dev/adapter-postgres";
import { createMysqlConsumerSchemaConfig, createMysqlPublicSchemaTransformations, MysqlPublicSchemaConfigBuilder, mysqlConsumerOf } from "@rejot-dev/adapter-mysql";
import { createConsumerSchema, sourceOf } from "@rejot-dev/contract/consumer-schema";
import { createPublicSchema, type RowOf } from "@rejot-dev/contract/public-schema";
import { z } from "zod";
import { z as z3 } from "zod3";

const config = new PostgresPublicSchemaConfigBuilder()
  .addTransformation(createPostgresPublicSchemaTransformations("insertOrUpdate", "account", "SELECT id, name FROM account WHERE id = :id"))
  .addTransformation({ operation: "delete", table: "account", sql: "SELECT id, name FROM account WHERE id = :id", rows: "one" })
  .build();
const common = { source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, config };

export const withZod4 = createPublicSchema("a", { ...common, outputSchema: z.object({ id: z.number(), name: z.string().nullable() }) });
export const withZod3 = createPublicSchema("b", { ...common, outputSchema: z3.object({ id: z3.number(), name: z3.string().nullable() }) });
export const withJson = createPublicSchema("c", {
  ...common,
  outputSchema: { type: "object", properties: { id: { type: "integer" }, name: { type: ["string", "null"] } }, required: ["id", "name"], "x-team": "accounts" },
  owner: "accounts",
  description: "Accounts",
  validate: "warn",
  freshness: "30s",
  upcast: [{ from: 0, sql: "SELECT id, name FROM account WHERE id = :id" }],
});
export const asPlainObject = createPublicSchema("d", {
  ...common,
  outputSchema: { type: "object" },
  config: { publicSchemaType: "postgres", transformations: [{ operation: "insert", table: "account", sql: "SELECT id FROM account WHERE id = :id" }] },
});
export const ofMysql = createPublicSchema("e", {
  ...common,
  outputSchema: { type: "object" },
  config: new MysqlPublicSchemaConfigBuilder().addTransformation(createMysqlPublicSchemaTransformations("delete", "account", "SELECT id FROM account WHERE id = :id", { keys: "all" })).build(),
});

export const row4: RowOf<typeof withZod4> = { id: 1, name: null };
export const row3: RowOf<typeof withZod3> = { id: 1, name: "x" };
export const names: keyof RowOf<typeof withJson> = "name";

export const untyped = createConsumerSchema("f", {
  source: { manifestSlug: "m", publicSchema: { name: "a", majorVersion: 1 } },
  config: createPostgresConsumerSchemaConfig("reports", "INSERT INTO t VALUES (:anything)", { deleteSql: "DELETE FROM t WHERE id = :id", truncateSql: "DELETE FROM t", onError: "quarantine" }),
});
export const mysqlUntyped = createMysqlConsumerSchemaConfig("shop", "REPLACE INTO t VALUES (:anything)");
export const typed = createConsumerSchema("g", {
  source: sourceOf("m", withZod4),
  config: postgresConsumerOf(withZod4)(
    "reports",
    `INSERT INTO t (id, name, at) -- what's :this
     VALUES (:id, :name::text || ':no' || 'it''s :no', '12:30'::time) /* :neither */
     ON CONFLICT (id) DO UPDATE SET name = :name`,
    { deleteSql: "DELETE FROM t WHERE id = :id" },
  ),
});
export const typedByRow = mysqlConsumerOf<{ id: number }>()("shop", "INSERT INTO t VALUES (:id)");
export const typedByJson = postgresConsumerOf(withJson)("reports", "INSERT INTO t VALUES (:id, :name)");
declare const computed: string;
export const notKnown = postgresConsumerOf(withJson)("reports", computed);
