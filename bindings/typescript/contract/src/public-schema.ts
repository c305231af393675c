// Public schemas: what a team publishes of its database.

import { toJsonSchema, type JsonSchema, type OnlyKeywords, type OutputOf, type StandardSchema } from "./json-schema.ts";
import type { PublicSchemaConfig, PublicSchemaData, PublicSchemaExtras, Transformation, Version } from "./manifest.ts";

export type { Operation, PublicSchemaConfig, PublicSchemaData, RowOf, Transformation, Upcast, Version } from "./manifest.ts";
export type PostgresPublicSchemaConfigTransformation = Transformation;

/** What a public schema needs beside its output schema. */
export interface CreatePublicSchemaOptionsBase extends PublicSchemaExtras {
  source: { dataStoreSlug: string };
  version: Version;
  config: PublicSchemaConfig;
}

/** With a schema of zod 3 or zod 4. */
export interface CreatePublicSchemaZodOptions<Schema extends StandardSchema> extends CreatePublicSchemaOptionsBase {
  outputSchema: Schema;
}

/** With JSON Schema. */
export interface CreatePublicSchemaJsonOptions<Schema extends JsonSchema = JsonSchema> extends CreatePublicSchemaOptionsBase {
  outputSchema: Schema & OnlyKeywords<Schema>;
}

/** Thrown where a public schema lacks something. */
export class InvalidPublicSchemaError extends Error {
  override get name(): string {
    return "InvalidPublicSchemaError";
  }
}

type FieldsOf<Schema> = Schema extends { properties: infer Properties } ? { [Field in keyof Properties]: unknown } : unknown;

/** Makes a public schema. Export it from the file as default, by itself or in an array or object. */
export function createPublicSchema<Schema extends StandardSchema>(
  publicSchemaName: string,
  options: CreatePublicSchemaZodOptions<Schema>,
): PublicSchemaData<OutputOf<Schema>>;
export function createPublicSchema<const Schema extends JsonSchema>(
  publicSchemaName: string,
  options: CreatePublicSchemaJsonOptions<Schema>,
): PublicSchemaData<FieldsOf<Schema>>;
export function createPublicSchema(
  publicSchemaName: string,
  options: CreatePublicSchemaOptionsBase & { outputSchema: StandardSchema | JsonSchema },
): PublicSchemaData {
  const { source, outputSchema, version, config, ...extras } = options;
  if (!publicSchemaName) {
    throw new InvalidPublicSchemaError("Public schema name cannot be empty");
  }
  if (!outputSchema) {
    throw new InvalidPublicSchemaError(`Public schema ${publicSchemaName} must have an outputSchema`);
  }
  if (!config?.transformations || config.transformations.length === 0) {
    throw new InvalidPublicSchemaError("Public schema must have at least one transformation");
  }
  return { name: publicSchemaName, source, outputSchema: toJsonSchema(outputSchema), version, config, ...extras };
}
