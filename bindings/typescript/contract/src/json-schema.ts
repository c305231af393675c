// JSON Schema, draft-07, and how zod's schemas become it.

import { toJSONSchema } from "zod/v4/core";
import { zodToJsonSchema } from "zod-to-json-schema";

/** The types of JSON Schema. */
export type JsonType = "string" | "number" | "integer" | "boolean" | "null" | "array" | "object";

/** A JSON Schema of draft-07. A keyword that it does not have is an error of the type checker; name your own x-…. */
export interface JsonSchema {
  $schema?: string;
  $id?: string;
  $ref?: string;
  $comment?: string;
  title?: string;
  description?: string;
  default?: unknown;
  examples?: readonly unknown[];
  deprecated?: boolean;
  readOnly?: boolean;
  writeOnly?: boolean;
  type?: JsonType | readonly JsonType[];
  enum?: readonly unknown[];
  const?: unknown;
  format?: string;
  contentEncoding?: string;
  contentMediaType?: string;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  items?: JsonSchema | readonly JsonSchema[] | boolean;
  additionalItems?: JsonSchema | boolean;
  contains?: JsonSchema | boolean;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  properties?: { readonly [field: string]: JsonSchema | boolean };
  patternProperties?: { readonly [pattern: string]: JsonSchema | boolean };
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema | boolean;
  required?: readonly string[];
  minProperties?: number;
  maxProperties?: number;
  dependencies?: { readonly [field: string]: JsonSchema | readonly string[] };
  allOf?: readonly JsonSchema[];
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
  not?: JsonSchema | boolean;
  if?: JsonSchema | boolean;
  then?: JsonSchema | boolean;
  else?: JsonSchema | boolean;
  definitions?: { readonly [name: string]: JsonSchema | boolean };
  $defs?: { readonly [name: string]: JsonSchema | boolean };
  [extension: `x-${string}`]: unknown;
}

/** Makes a keyword that JSON Schema does not have an error where a schema is inferred, also of fields and items. */
export type OnlyKeywords<Schema> = {
  [Keyword in keyof Schema]: Keyword extends "properties"
    ? { [Field in keyof Schema[Keyword]]: OnlyKeywords<Schema[Keyword][Field]> }
    : Keyword extends "items"
      ? OnlyKeywords<Schema[Keyword]>
      : Keyword extends keyof JsonSchema
        ? Schema[Keyword]
        : never;
};

/** What zod 3 and zod 4 have in common: the interface of standardschema.dev. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** The values that a schema lets through. */
export type OutputOf<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["output"];

/** Makes JSON Schema of a schema of zod 3 or zod 4; leaves JSON Schema as it is. */
export function toJsonSchema(schema: StandardSchema | JsonSchema): JsonSchema {
  if (!("~standard" in schema)) {
    return schema;
  }
  const { vendor } = schema["~standard"];
  if (vendor !== "zod") {
    throw new TypeError(`a schema of ${vendor} cannot be made into JSON Schema: use zod, or write JSON Schema`);
  }
  const converted = "_zod" in schema ? fromZod4(schema) : fromZod3(schema);
  // Where the draft stands says nothing; one place makes zod 3 and zod 4 give the same text.
  const { $schema, ...rest } = converted;
  return $schema === undefined ? rest : { ...rest, $schema };
}

function fromZod3(schema: StandardSchema): JsonSchema {
  return shortNullable(zodToJsonSchema(schema as never) as JsonSchema) as JsonSchema;
}

// What zod 4 refuses and a database has.
const representable: { [type: string]: JsonSchema } = {
  date: { type: "string", format: "date-time" },
  bigint: { type: "integer", format: "int64" },
};
const unrepresentable = ["symbol", "undefined", "void", "map", "set", "transform", "nan", "custom", "function", "promise", "file"];

function fromZod4(schema: StandardSchema): JsonSchema {
  // A newer zod 4 brings the conversion along with each schema, so that it fits.
  const { toJSONSchema: own } = schema as { toJSONSchema?: (params: typeof conversion) => unknown };
  const converted = typeof own === "function" ? own.call(schema, conversion) : toJSONSchema(schema as never, conversion);
  return shortNullable(JSON.parse(JSON.stringify(converted))) as JsonSchema; // it also has functions, which are no JSON
}

const conversion = {
  target: "draft-7",
  unrepresentable: "any",
  override({ zodSchema, jsonSchema, path = [] }: { zodSchema: { _zod: { def: object } }; jsonSchema: object; path?: PropertyKey[] }): void {
    const { type } = zodSchema._zod.def as { type: string };
    const json = jsonSchema as Record<string, unknown>;
    if (unrepresentable.includes(type)) {
      throw new TypeError(`outputSchema: JSON Schema has nothing for ${type} at /${path.join("/")}`);
    }
    Object.assign(json, representable[type]);
    // An integer of a database may be larger than JavaScript's numbers, which these bounds describe.
    if (json["minimum"] === Number.MIN_SAFE_INTEGER) delete json["minimum"];
    if (json["maximum"] === Number.MAX_SAFE_INTEGER) delete json["maximum"];
  },
} as const;

// shortNullable writes { anyOf: [{ type: x, … }, { type: "null" }] } as { type: [x, "null"], … }, which is the same.
function shortNullable(node: unknown): unknown {
  if (Array.isArray(node)) {
    return node.map(shortNullable);
  }
  if (typeof node !== "object" || node === null) {
    return node;
  }
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    copy[key] = shortNullable(value);
  }
  const { anyOf, ...rest } = copy as { anyOf?: Record<string, unknown>[] };
  if (!Array.isArray(anyOf) || anyOf.length !== 2) {
    return copy;
  }
  const [some, none] = anyOf as [Record<string, unknown>, Record<string, unknown>];
  const onlyNull = Object.keys(none).length === 1 && none["type"] === "null";
  const clash = Object.keys(rest).some((key) => key in some);
  if (!onlyNull || some["type"] === undefined || "enum" in some || "const" in some || clash) {
    return copy;
  }
  return { ...some, type: [some["type"], "null"].flat(), ...rest };
}
