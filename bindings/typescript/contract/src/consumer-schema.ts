// Consumer schemas: how a team writes the rows of a public schema into its own database.

import type { ConsumerSchemaConfig, ConsumerSchemaData, PublicSchemaData } from "./manifest.ts";

export type { ConsumerSchemaConfig, ConsumerSchemaData } from "./manifest.ts";

/** What a consumer schema needs. */
export interface CreateConsumerSchemaOptions {
  source: {
    manifestSlug: string;
    publicSchema: { name: string; majorVersion: number };
  };
  config: ConsumerSchemaConfig;
  definitionFile?: string;
}

/** Thrown where a consumer schema lacks something. */
export class InvalidConsumerSchemaError extends Error {
  override get name(): string {
    return "InvalidConsumerSchemaError";
  }
}

/** Throws where a part is empty. */
export function validateConsumerSchema({ source, config }: CreateConsumerSchemaOptions): void {
  if (!source?.manifestSlug) {
    throw new InvalidConsumerSchemaError("Source manifest slug cannot be empty");
  }
  if (!source.publicSchema?.name) {
    throw new InvalidConsumerSchemaError("Public schema name cannot be empty");
  }
  if (!config?.destinationDataStoreSlug) {
    throw new InvalidConsumerSchemaError("Destination data store slug cannot be empty");
  }
  if (!config.sql) {
    throw new InvalidConsumerSchemaError("Consumer schema must have a SQL transformation");
  }
}

/** Makes a consumer schema. Export it from the file as default, by itself or in an array or object. */
export function createConsumerSchema(name: string, options: CreateConsumerSchemaOptions): ConsumerSchemaData {
  if (!name) {
    throw new InvalidConsumerSchemaError("Consumer schema name cannot be empty");
  }
  validateConsumerSchema(options);
  const { source, config, definitionFile } = options;
  return {
    name,
    sourceManifestSlug: source.manifestSlug,
    publicSchema: source.publicSchema,
    ...(definitionFile ? { definitionFile } : {}),
    config,
  };
}

/** The source of a consumer schema, of a public schema that can be imported. */
export function sourceOf(manifestSlug: string, schema: PublicSchemaData): CreateConsumerSchemaOptions["source"] {
  return { manifestSlug, publicSchema: { name: schema.name, majorVersion: schema.version.major } };
}
