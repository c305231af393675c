// What the program runs beside contract files: it finds the schemas among a file's exports and remembers where each was made.
(function (here, toJsonSchema) {
  "use strict";
  const places = new WeakMap();

  const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
  const isSchema = (v) =>
    isObject(v) &&
    ("outputSchema" in v || "sourceManifestSlug" in v || (isObject(v.config) && ("publicSchemaType" in v.config || "consumerSchemaType" in v.config)));

  // A schema that was written without createPublicSchema may hold zod's schema as it is.
  function converted(v) {
    const output = v.outputSchema;
    return isObject(output) && "~standard" in output ? Object.assign({}, v, { outputSchema: toJsonSchema(output) }) : v;
  }

  return {
    // watched gives a library's exports; what its functions make gets their caller's place.
    watched(exports) {
      const copy = {};
      for (const key of Object.getOwnPropertyNames(exports)) {
        const descriptor = Object.getOwnPropertyDescriptor(exports, key);
        const original = exports[key];
        if ((key !== "createPublicSchema" && key !== "createConsumerSchema") || typeof original !== "function") {
          Object.defineProperty(copy, key, descriptor);
          continue;
        }
        copy[key] = function (...args) {
          const at = here();
          const made = original.apply(this, args);
          if (isObject(made)) places.set(made, at);
          return made;
        };
      }
      return copy;
    },

    // late gives exports that are loaded when the first of them is used.
    late(load) {
      return new Proxy({}, { get: (_, key) => load()[key], has: (_, key) => key in load() });
    },

    // collect gives the schemas of a file's default export: itself, an array of them, an object of them, one level deep.
    collect(exports) {
      const value = exports && exports.__esModule ? exports.default : exports;
      if (value === undefined || value === null || (value === exports && Object.keys(exports).length === 0)) {
        return "nothing";
      }
      if (typeof value.then === "function") {
        return "promise";
      }
      const found = new Set();
      const look = (v, depth) => {
        if (isSchema(v)) found.add(v);
        else if (isObject(v) && depth < 1) Object.values(v).forEach((inner) => look(inner, depth + 1));
      };
      (Array.isArray(value) ? value : [value]).forEach((v) => look(v, 0));
      return JSON.stringify([...found].map((v) => ({ at: places.get(v), schema: converted(v) })));
    },
  };
});
