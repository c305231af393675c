package check

import (
	"fmt"
	"slices"
	"strings"
)

// prove judges a change that is breaking unless every known consumer is proved to take it.
func (c *comparison) prove(now schema, ch change, d *difference) (v Verdict, text, detail, mend string) {
	readers := readersOf(c.now, now.in.Slug, now.Name, now.Version.Major)
	major := fmt.Sprintf("publish it as version %d.0 beside this one", now.Version.Major+1)
	if len(readers) == 0 {
		if c.options.Complete {
			return Compatible, ch.text + "; no consumer reads it", ch.detail, ""
		}
		return Unless, ch.text + "; no consumer is known, so none is proved to take it", ch.detail,
			hintOf(ch) + "name the manifests of the consumers too, or " + major
	}
	var open []string
	for _, r := range readers {
		if why := c.takes(r, ch, d); why != "" {
			open = append(open, r.about().place.String()+": consumer schema "+r.Name+" "+why)
		}
	}
	if len(open) == 0 {
		return Compatible, fmt.Sprintf("%s; proved: %s", ch.text, taken(readers, ch.field)), ch.detail, ""
	}
	return Unless, ch.text, joinLines(ch.detail, open...), hintOf(ch) + "change the consumer first, or " + major
}

// hintOf is what spares a change of being breaking.
func hintOf(ch change) string {
	switch ch.rule {
	case "FIELD_RENAMED":
		return "keep the old name as an alias beside the new one, or "
	case "FIELD_REMOVED":
		return "keep the field, or "
	default:
		return ""
	}
}

func taken(readers []consumer, field string) string {
	names := make([]string, len(readers))
	for i, r := range readers {
		how := "takes it"
		if !r.uses(field) {
			how = "does not use it"
		}
		names[i] = "consumer schema " + r.Name + " " + how
	}
	return strings.Join(names, ", ")
}

// takes says why a consumer is not proved to take a change; nothing where it is.
func (c *comparison) takes(r consumer, ch change, d *difference) string {
	if !r.uses(ch.field) {
		return ""
	}
	if ch.rule == "FIELD_REMOVED" || ch.rule == "FIELD_RENAMED" {
		return "uses " + ch.field
	}
	if c.options.Databases == nil {
		return "uses " + ch.field + "; its database was not asked (--connect)"
	}
	st, err := c.statements(r)
	switch {
	case err != nil:
		return "cannot be asked: " + err.Error()
	case len(st.Refused) > 0:
		return "is refused by its database: " + st.Refused[0].Reason
	}
	for _, t := range st.Targets {
		if t.Field == ch.field {
			if why := t.refuses(ch, d.typeOf(ch.field)); why != "" {
				return "writes " + ch.field + why
			}
		}
	}
	if !slices.ContainsFunc(st.Targets, func(t Target) bool { return t.Field == ch.field }) {
		return "uses " + ch.field + " where its database does not say how"
	}
	return ""
}

func (c *comparison) statements(r consumer) (*Statements, error) {
	db, err := c.options.Databases.Destination(c.ctx, r.Config.Destination)
	if err != nil {
		return nil, err
	}
	return db.Inspect(c.ctx, r.in.Consumer(r.index))
}

// refuses says why a target may not take what a field may hold now. typ is the field's type in the source;
// empty where it is not known.
func (t Target) refuses(ch change, typ string) string {
	where := " into an expression"
	if t.Column != nil {
		where = " into column " + t.Column.Name + " (" + t.Column.Type + ")"
	}
	switch ch.rule {
	case "NOT_NULL_TO_NULLABLE":
		if t.Column == nil || !t.Column.Nullable || t.Key {
			return where + ", which may not be NULL"
		}
		if t.Check {
			return where + ", which has a CHECK constraint"
		}
		return ""
	case "ENUM_VALUE_ADDED":
		return t.refusesEnum(ch, where)
	case "TYPE_WIDENED", "PRECISION":
		switch {
		case typ == "":
			return where + ", and the field's type is not known"
		case !t.Direct || t.Column == nil:
			return where + ", which is not proved to take it"
		case t.Check:
			return where + ", of which a CHECK speaks"
		case !takes(t.Column.Type, typ) || t.Type != "" && !takes(t.Type, typ):
			return where + ", which is smaller than " + typ
		}
		return ""
	default:
		return where + ", which is not proved to take it"
	}
}

func (t Target) refusesEnum(ch change, where string) string {
	if t.Column == nil || !t.Direct || t.Check {
		return where + ", which is not proved to take it"
	}
	target := parseType(t.Column.Type)
	for _, v := range ch.added {
		plain := strings.Trim(v, `"`)
		switch {
		case t.Enum != nil && !slices.Contains(t.Enum, plain):
			return where + ", an enumeration without " + plain
		case t.Enum == nil && (target.family != "text" || target.length >= 0 && target.length < len(plain)):
			return where + ", which is not proved to take " + plain
		}
	}
	if len(ch.added) == 0 && (t.Enum != nil || target.family != "text" || target.length >= 0) {
		return where + ", which does not take everything"
	}
	return ""
}

func joinLines(first string, more ...string) string {
	if first != "" {
		more = append([]string{first}, more...)
	}
	return strings.Join(more, "\n")
}

// named says who is meant, in a sentence.
func named(readers []consumer) string {
	if len(readers) == 0 {
		return ""
	}
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = r.Name
	}
	return ": " + strings.Join(names, ", ")
}

func list(readers []consumer) string {
	lines := make([]string, len(readers))
	for i, r := range readers {
		lines[i] = r.about().place.String() + ": consumer schema " + r.Name + " of manifest " + r.in.Slug + " reads it"
	}
	return strings.Join(lines, "\n")
}
