// What a contract says of Postgres.

import type { ConsumerSchemaConfig, PublicSchemaConfig, PublicSchemaData, Transformation } from "@rejot-dev/contract/manifest";
import type { Checked } from "@rejot-dev/contract/placeholders";

export type PostgresPublicSchemaConfigTransformation = Transformation;

/** What a transformation may say beside operation, table and sql. */
export type PostgresTransformationOptions = Pick<Transformation, "params" | "keys" | "rows">;

/** Collects the transformations of a public schema. */
export class PostgresPublicSchemaConfigBuilder {
  #transformations: Transformation[] = [];

  addTransformation(transformation: Transformation | Transformation[]): this {
    this.#transformations.push(...(Array.isArray(transformation) ? transformation : [transformation]));
    return this;
  }

  build(): PublicSchemaConfig {
    return { publicSchemaType: "postgres", transformations: [...this.#transformations] };
  }
}

/** Makes the transformations of one table: insert and update, or delete. */
export function createPostgresPublicSchemaTransformations(
  operation: "insertOrUpdate" | "delete",
  table: string,
  sql: string,
  options: PostgresTransformationOptions = {},
): Transformation[] {
  switch (operation) {
    case "insertOrUpdate":
      return [
        { operation: "insert", table, sql, ...options },
        { operation: "update", table, sql, ...options },
      ];
    case "delete":
      return [{ operation, table, sql, ...options }];
    default:
      throw new TypeError(`Invalid operation: ${String(operation)}`);
  }
}

/** What a consumer schema may say beside its statement. */
export type PostgresConsumerSchemaConfigOptions = Pick<ConsumerSchemaConfig, "deleteSql" | "truncateSql" | "onError">;

/** Makes the config of a consumer schema whose destination is Postgres. */
export function createPostgresConsumerSchemaConfig(
  destinationDataStoreSlug: string,
  sql: string,
  options: PostgresConsumerSchemaConfigOptions = {},
): ConsumerSchemaConfig {
  const { deleteSql, truncateSql, onError } = options;
  return {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug,
    sql,
    ...(deleteSql ? { deleteSql } : {}),
    ...(truncateSql ? { truncateSql } : {}),
    ...(onError ? { onError } : {}),
  };
}

/** As createPostgresConsumerSchemaConfig, with the placeholders of sql known. */
export type TypedPostgresConsumerSchemaConfig<Row> = <const Sql extends string>(
  destinationDataStoreSlug: string,
  sql: Checked<Sql, Row>,
  options?: PostgresConsumerSchemaConfigOptions,
) => ConsumerSchemaConfig;

/**
 * Gives createPostgresConsumerSchemaConfig for the rows of a public schema: a placeholder that is no field of it is an error of
 * the type checker. Give the schema, or the type of its rows: `postgresConsumerOf<Account>()`.
 */
export function postgresConsumerOf<Row>(_schema?: PublicSchemaData<Row>): TypedPostgresConsumerSchemaConfig<Row> {
  return createPostgresConsumerSchemaConfig;
}
