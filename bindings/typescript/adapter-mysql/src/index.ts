// What a contract says of MySQL and MariaDB.

import type { ConsumerSchemaConfig, PublicSchemaConfig, PublicSchemaData, Transformation } from "@rejot-dev/contract/manifest";
import type { Checked } from "@rejot-dev/contract/placeholders";

export type MysqlPublicSchemaConfigTransformation = Transformation;

/** What a transformation may say beside operation, table and sql. */
export type MysqlTransformationOptions = Pick<Transformation, "params" | "keys" | "rows">;

/** Collects the transformations of a public schema. */
export class MysqlPublicSchemaConfigBuilder {
  #transformations: Transformation[] = [];

  addTransformation(transformation: Transformation | Transformation[]): this {
    this.#transformations.push(...(Array.isArray(transformation) ? transformation : [transformation]));
    return this;
  }

  build(): PublicSchemaConfig {
    return { publicSchemaType: "mysql", transformations: [...this.#transformations] };
  }
}

/** Makes the transformations of one table: insert and update, or delete. */
export function createMysqlPublicSchemaTransformations(
  operation: "insertOrUpdate" | "delete",
  table: string,
  sql: string,
  options: MysqlTransformationOptions = {},
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
export type MysqlConsumerSchemaConfigOptions = Pick<ConsumerSchemaConfig, "deleteSql" | "truncateSql" | "onError">;

/** Makes the config of a consumer schema whose destination is MySQL and MariaDB. */
export function createMysqlConsumerSchemaConfig(
  destinationDataStoreSlug: string,
  sql: string,
  options: MysqlConsumerSchemaConfigOptions = {},
): ConsumerSchemaConfig {
  const { deleteSql, truncateSql, onError } = options;
  return {
    consumerSchemaType: "mysql",
    destinationDataStoreSlug,
    sql,
    ...(deleteSql ? { deleteSql } : {}),
    ...(truncateSql ? { truncateSql } : {}),
    ...(onError ? { onError } : {}),
  };
}

/** As createMysqlConsumerSchemaConfig, with the placeholders of sql known. */
export type TypedMysqlConsumerSchemaConfig<Row> = <const Sql extends string>(
  destinationDataStoreSlug: string,
  sql: Checked<Sql, Row>,
  options?: MysqlConsumerSchemaConfigOptions,
) => ConsumerSchemaConfig;

/**
 * Gives createMysqlConsumerSchemaConfig for the rows of a public schema: a placeholder that is no field of it is an error of
 * the type checker. Give the schema, or the type of its rows: `mysqlConsumerOf<Account>()`.
 */
export function mysqlConsumerOf<Row>(_schema?: PublicSchemaData<Row>): TypedMysqlConsumerSchemaConfig<Row> {
  return createMysqlConsumerSchemaConfig;
}
