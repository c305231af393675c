// The entries that `rejot collect` writes into rejot-manifest.json.

import type { JsonSchema } from "./json-schema.ts";

declare const row: unique symbol;

/** What changes of a table do to a public schema's rows. */
export type Operation = "insert" | "update" | "delete";

/** A query for the changes of one table. */
export interface Transformation {
  operation: Operation;
  /** The table whose changes are listened to, maybe with its schema. */
  table: string;
  /** The SELECT that yields the public rows; its placeholder is the table's key. */
  sql: string;
  /** Placeholder → column of the changed table, where the way to the key cannot be proved. */
  params?: Record<string, string>;
  /** A SELECT from the changed table's columns to the keys, or "all". */
  keys?: string;
  /** A key has one row at most, where that cannot be proved. */
  rows?: "one";
}

/** The databases that can be a source or a destination. */
export type DatabaseType = "postgres" | "mysql";

/** A public schema's queries. */
export interface PublicSchemaConfig {
  publicSchemaType: DatabaseType;
  transformations: Transformation[];
}

/** A version: a new major for what breaks a reader, a new minor for what does not. */
export interface Version {
  major: number;
  minor: number;
}

/** Serves consumers of an older major version from the queries of this one. */
export interface Upcast {
  from: number;
  /** The older version's output columns, as expressions over this one's. */
  sql: string;
}

/** What a public schema may say beside its query. */
export interface PublicSchemaExtras {
  /** The team that answers for it. */
  owner?: string;
  description?: string;
  /** Whether rows are compared with outputSchema while they are published. */
  validate?: "off" | "warn" | "stop";
  /** How old rows may be at a destination, as "30s" or "5m". */
  freshness?: string;
  upcast?: Upcast[];
}

/** A public schema as it stands in the manifest. Row is known to the type checker only. */
export interface PublicSchemaData<Row = unknown> extends PublicSchemaExtras {
  name: string;
  source: { dataStoreSlug: string };
  outputSchema: JsonSchema;
  version: Version;
  definitionFile?: string;
  config: PublicSchemaConfig;
  readonly [row]?: Row;
}

/** The rows of a public schema. */
export type RowOf<Schema> = Schema extends PublicSchemaData<infer Row> ? Row : never;

/** A consumer schema's statements. */
export interface ConsumerSchemaConfig {
  consumerSchemaType: DatabaseType;
  destinationDataStoreSlug: string;
  /** Writes one row; repeating it has to do no harm, as an upsert does none. */
  sql: string;
  /** Removes the row of a key. Without it, deletes are ignored. */
  deleteSql?: string;
  /** Removes all rows. Without it, a truncated source table stops the consumer. */
  truncateSql?: string;
  /** What happens with a row that the destination refuses. */
  onError?: "pause" | "quarantine";
}

/** A consumer schema as it stands in the manifest. */
export interface ConsumerSchemaData {
  name: string;
  sourceManifestSlug: string;
  publicSchema: { name: string; majorVersion: number };
  definitionFile?: string;
  config: ConsumerSchemaConfig;
}
