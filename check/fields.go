package check

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// A change is one difference of a value, from what readers met to what they may meet.
type change struct {
	rule    string
	verdict Verdict
	field   string // of the row
	text    string
	added   []string // values of an enumeration that are new
	detail  string
}

// changes collects the differences of one field.
type changes struct {
	field string
	list  []change
}

func (c *changes) add(rule string, v Verdict, format string, args ...any) *change {
	c.list = append(c.list, change{rule: rule, verdict: v, field: c.field, text: fmt.Sprintf(format, args...)})
	return &c.list[len(c.list)-1]
}

// compareField compares one field of a row.
func compareField(name string, old, now *shape) []change {
	c := &changes{field: name}
	c.null(old, now)
	c.value(old, now)
	if sensitivity(now.sensitivity) > sensitivity(old.sensitivity) || now.sensitivity != "" && sensitivity(now.sensitivity) == 0 && now.sensitivity != old.sensitivity {
		c.add("SENSITIVITY_RAISED", Review, "its sensitivity was %s and is %s", orNone(old.sensitivity), now.sensitivity)
	}
	return c.list
}

// sensitivity ranks the words of x-sensitivity; what is not known is ranked as nothing.
func sensitivity(s string) int {
	return max(0, slices.Index([]string{"", "public", "internal", "confidential", "personal", "restricted", "secret"}, strings.ToLower(s)))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (c *changes) null(old, now *shape) {
	switch {
	case !old.null && now.null:
		c.add("NOT_NULL_TO_NULLABLE", Unless, "it was never NULL and may be now")
	case old.null && !now.null:
		c.add("NULLABLE_TO_NOT_NULL", Compatible, "it could be NULL and is declared never to be now")
	}
}

// value compares everything but NULL. The first difference of kind or format says it all.
func (c *changes) value(old, now *shape) {
	if c.kinds(old, now) || c.format(old, now) {
		return
	}
	c.enum(old, now)
	c.bounds(old, now)
	switch {
	case slices.Contains(now.kinds, "array"):
		c.array(old, now)
	case now.object && old.object:
		c.object(old, now)
	}
	c.alternatives(old, now)
	if old.rest != now.rest {
		c.add("PRECISION", Review, "other limits of its values differ")
	}
}

// kinds compares the kinds of JSON values, and reports whether they differ.
func (c *changes) kinds(old, now *shape) bool {
	if slices.Equal(old.kinds, now.kinds) {
		return false
	}
	covers := func(wide, narrow *shape) bool {
		return len(wide.kinds) == 0 || len(narrow.kinds) > 0 && !slices.ContainsFunc(narrow.kinds, func(k string) bool {
			return !slices.Contains(wide.kinds, k) && (k != "integer" || !slices.Contains(wide.kinds, "number"))
		})
	}
	numbers := func(s *shape) bool {
		return len(s.kinds) > 0 && !slices.ContainsFunc(s.kinds, func(k string) bool { return k != "integer" && k != "number" })
	}
	switch {
	case covers(now, old) && numbers(old) && numbers(now):
		c.add("TYPE_WIDENED", Unless, "it was %s and is %s", old, now)
	case covers(old, now):
		c.add("TYPE_NARROWED", Review, "it was %s and is %s", old, now)
	default:
		c.add("TYPE_CHANGED", Breaking, "it was %s and is %s", old, now)
	}
	return true
}

// timeFormats are those of moments and days, in which a reader's value would shift.
var timeFormats = []string{"date-time", "date", "time", "duration", "local-date-time", "local-time", "timestamp", "unix-time", "timestamp-millis", "timestamp-micros", "epoch"}

// numberFormats have the bits by which they reach down and up: one that reaches as far on both sides holds
// every value of another. Those with fractions reach beyond all integers.
var numberFormats = map[string]struct{ down, up int }{
	"int8": {7, 7}, "int16": {15, 15}, "int32": {31, 31}, "int64": {63, 63},
	"uint8": {0, 8}, "uint16": {0, 16}, "uint32": {0, 32}, "uint64": {0, 64},
	"float": {100, 100}, "double": {200, 200}, "": {300, 300},
}

// knownNumbers reports whether a format's values are numbers of which it is known how far they reach.
func (s *shape) knownNumbers() bool {
	_, ok := numberFormats[s.format]
	return ok && (slices.Equal(s.kinds, []string{"integer"}) || slices.Equal(s.kinds, []string{"number"}))
}

// holdsFormat reports whether a number's format holds every value of another. An integer without a format
// is commonly one of 64 bits.
func (s *shape) holdsFormat(o *shape) bool {
	wide, narrow := numberFormats[s.format], numberFormats[o.format]
	plain := s.format == "int64" && o.format == "" && slices.Equal(o.kinds, []string{"integer"})
	return plain || wide.down >= narrow.down && wide.up >= narrow.up
}

// format compares formats, and reports whether the difference is one of kind.
func (c *changes) format(old, now *shape) bool {
	if old.format == now.format && old.zone == now.zone {
		return false
	}
	oldTime, nowTime := slices.Contains(timeFormats, old.format), slices.Contains(timeFormats, now.format)
	was, is := strings.TrimSpace(orNone(old.format)+" "+old.zone), strings.TrimSpace(orNone(now.format)+" "+now.zone)
	switch {
	case oldTime && nowTime, old.zone != now.zone:
		c.add("TIMESTAMP", Breaking, "its form of time was %s and is %s", was, is)
	case old.knownNumbers() && now.knownNumbers():
		wider, narrower := now.holdsFormat(old), old.holdsFormat(now)
		switch {
		case wider && narrower:
			return false
		case wider:
			c.add("TYPE_WIDENED", Unless, "its format was %s and is %s", was, is)
		case narrower:
			c.add("TYPE_NARROWED", Review, "its format was %s and is %s", was, is)
		default:
			c.add("TYPE_CHANGED", Breaking, "its format was %s and is %s", was, is)
		}
	case old.format == "":
		if nowTime {
			c.add("TYPE_CHANGED", Breaking, "it was %s and is %s", old, now)
			break
		}
		c.add("TYPE_NARROWED", Review, "its format was %s and is %s", was, is)
	case now.format == "" && !oldTime && old.format != "decimal":
		c.add("TYPE_WIDENED", Unless, "its format was %s and is %s", was, is)
	default:
		c.add("TYPE_CHANGED", Breaking, "its format was %s and is %s", was, is)
	}
	return true
}

func (c *changes) enum(old, now *shape) {
	switch {
	case old.isEnum && !now.isEnum:
		c.add("ENUM_VALUE_ADDED", Unless, "it was one of %s and may be anything now", strings.Join(old.enum, ", "))
	case !old.isEnum && now.isEnum:
		c.add("TYPE_NARROWED", Review, "it could be anything and is one of %s now", strings.Join(now.enum, ", "))
	case old.isEnum:
		if added := without(now.enum, old.enum); len(added) > 0 {
			c.add("ENUM_VALUE_ADDED", Unless, "it may be %s now", strings.Join(added, ", ")).added = added
		}
		if removed := without(old.enum, now.enum); len(removed) > 0 {
			c.add("ENUM_VALUE_REMOVED", Compatible, "it is never %s now", strings.Join(removed, ", "))
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// bounds compares limits: one that goes is a wider type, one that moves is another precision.
func (c *changes) bounds(old, now *shape) {
	for _, word := range sortedKeys(boundWords) {
		was, is := old.bounds[word], now.bounds[word]
		switch {
		case was == nil && is == nil:
		case is == nil:
			c.add("TYPE_WIDENED", Unless, "%s was %s and is gone", word, number(was))
		case was == nil:
			c.add("TYPE_NARROWED", Review, "%s is %s and was not there", word, number(is))
		case was.Cmp(is) == 0:
		case wider(word, was, is):
			c.add("PRECISION", Unless, "%s was %s and is %s", word, number(was), number(is))
		default:
			c.add("PRECISION", Review, "%s was %s and is %s", word, number(was), number(is))
		}
	}
}

// wider reports whether a limit admits more than before. A step admits more unless it is a multiple of the former one.
func wider(word string, was, is *big.Rat) bool {
	if word == "multipleOf" {
		return was.Sign() == 0 || !new(big.Rat).Quo(is, was).IsInt()
	}
	return (is.Cmp(was) > 0) == boundWords[word]
}

func number(r *big.Rat) string { return strings.TrimSuffix(r.RatString(), "/1") }

// elementRules are about what an array's elements are, rather than what is inside them.
var elementRules = []string{"TYPE_CHANGED", "TYPE_WIDENED", "TYPE_NARROWED", "TIMESTAMP", "ARRAY_ELEMENT", "PRECISION"}

func (c *changes) array(old, now *shape) {
	if len(old.tuple) != len(now.tuple) {
		c.add("ARRAY_ELEMENT", Breaking, "it had %d fixed elements and has %d", len(old.tuple), len(now.tuple))
		return
	}
	for i := range old.tuple {
		c.element(fmt.Sprintf("element %d", i), old.tuple[i], now.tuple[i])
	}
	switch {
	case old.items == nil && now.items == nil:
	case old.items == nil || now.items == nil:
		c.add("ARRAY_ELEMENT", Breaking, "its elements were %s and are %s", old.items, now.items)
	default:
		c.element("its elements", old.items, now.items)
	}
}

func (c *changes) element(what string, old, now *shape) {
	inner := &changes{field: c.field}
	inner.null(old, now)
	inner.value(old, now)
	for _, d := range inner.list {
		if slices.Contains(elementRules, d.rule) {
			c.add("ARRAY_ELEMENT", Breaking, "%s: %s", what, d.text)
			continue
		}
		c.nested(what, d)
	}
}

// object compares the fields inside a value.
func (c *changes) object(old, now *shape) {
	for _, name := range old.names() {
		is := now.field(name)
		if is == nil {
			c.nested("inside", change{rule: "FIELD_REMOVED", verdict: Unless, text: name + " is gone"})
			continue
		}
		inner := &changes{field: c.field}
		inner.null(old.field(name), is)
		inner.value(old.field(name), is)
		for _, d := range inner.list {
			c.nested("inside, "+name, d)
		}
	}
	for _, name := range now.names() {
		if old.fields[name] == nil {
			c.nested("inside", change{rule: "FIELD_ADDED", verdict: Compatible, text: name + " is new"})
		}
	}
}

// alternatives compares those of a value, each with the one that was written alike, the others in their order.
func (c *changes) alternatives(old, now *shape) {
	gone, left := slices.Clone(old.among), slices.Clone(now.among)
	pair := func(i, j int) {
		inner := &changes{field: c.field}
		inner.null(gone[i].shape, left[j].shape)
		inner.value(gone[i].shape, left[j].shape)
		for _, d := range inner.list {
			c.nested("in one of its alternatives", d)
		}
		gone, left = slices.Delete(gone, i, i+1), slices.Delete(left, j, j+1)
	}
	for i := 0; i < len(gone); {
		j := slices.IndexFunc(left, func(a alternative) bool { return a.text == gone[i].text })
		if j < 0 {
			i++
			continue
		}
		pair(i, j) // alike, but what they refer to may differ
	}
	for len(gone) > 0 && len(left) > 0 {
		pair(0, 0)
	}
	for range gone {
		c.add("JSON_SHAPE", Review, "one of its alternatives is gone")
	}
	for range left {
		c.add("JSON_SHAPE", Unless, "one of its alternatives is new")
	}
}

func (c *changes) nested(where string, d change) {
	if d.rule == "JSON_SHAPE" {
		c.add("JSON_SHAPE", d.verdict, "%s: %s", where, d.text)
		return
	}
	c.add("JSON_SHAPE", d.verdict, "%s: %s (%s)", where, d.text, d.rule)
}
