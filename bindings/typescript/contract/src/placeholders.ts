// Placeholders of a SQL text, for the type checker. Strings and comments are left out and casts (::text) are none; a slice
// between two names (a[lo:hi]), E'\'' and dollar quotes are beyond it. `rejot collect` reads statements exactly.

type Letter =
  | "a" | "b" | "c" | "d" | "e" | "f" | "g" | "h" | "i" | "j" | "k" | "l" | "m"
  | "n" | "o" | "p" | "q" | "r" | "s" | "t" | "u" | "v" | "w" | "x" | "y" | "z" | "_";
type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

/** S without what stands between /* and its end. */
type WithoutBlocks<S extends string> = S extends `${infer Before}/*${string}*/${infer After}` ? WithoutBlocks<`${Before} ${After}`> : S;

/** S without strings and without comments to the end of a line; whichever begins first is taken first. */
type Code<S extends string, Out extends string = ""> = S extends `${infer Before}'${infer Inside}`
  ? Before extends `${infer Head}--${string}`
    ? AfterLine<S, Head, Out>
    : Inside extends `${string}'${infer After}`
      ? Code<After, `${Out}${Before} `>
      : `${Out}${Before}`
  : S extends `${infer Head}--${string}`
    ? AfterLine<S, Head, Out>
    : `${Out}${S}`;
type AfterLine<S extends string, Head extends string, Out extends string> = S extends `${Head}--${string}\n${infer After}`
  ? Code<After, `${Out}${Head} `>
  : `${Out}${Head}`;

type Word<S extends string, Taken extends string = ""> = S extends `${infer C}${infer Rest}`
  ? Lowercase<C> extends Letter
    ? Word<Rest, `${Taken}${C}`>
    : C extends Digit
      ? Taken extends ""
        ? ""
        : Word<Rest, `${Taken}${C}`>
      : Taken
  : Taken;

type Named<S extends string, Found = never> = S extends `${string}:${infer Rest}`
  ? Rest extends `:${infer AfterCast}`
    ? Named<AfterCast, Found>
    : Named<Rest, Found | Word<Rest>>
  : Exclude<Found, "">;

/** The names of the placeholders of a SQL text that is known to the type checker; of another, never. */
export type Placeholders<S extends string> = string extends S ? never : Named<Code<WithoutBlocks<S>>>;

/** S itself where each placeholder is a field of Row, else a text that says which one is not. */
export type Checked<S extends string, Row> = [Exclude<Placeholders<S>, keyof Row>] extends [never]
  ? S
  : `the public schema has no field ${Exclude<Placeholders<S>, keyof Row> & string}`;
