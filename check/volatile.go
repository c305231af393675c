package check

import "slices"

// changing are functions that give another result each time, by name; a bracket has to follow. bare are
// those that SQL writes without one.
var (
	changing = []string{
		"now", "random", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday", "gen_random_uuid", "uuid_generate_v1", "uuid_generate_v4",
		"uuidv4", "uuidv7", "nextval", "currval", "lastval", "setval", "txid_current", "pg_current_xact_id", "random_normal", "gen_random_bytes",
		"rand", "uuid", "uuid_short", "sysdate", "curdate", "curtime", "utc_timestamp", "utc_date", "utc_time", "connection_id", "last_insert_id", "pg_backend_pid",
		"current_timestamp", "localtimestamp", "current_time", "localtime",
	}
	bare = []string{"current_timestamp", "current_date", "current_time", "localtimestamp", "localtime", "current_user", "session_user", "utc_timestamp"}
	// ordered are aggregates whose result depends on the order of their rows.
	ordered = []string{"array_agg", "string_agg", "json_agg", "jsonb_agg", "json_arrayagg", "group_concat", "xmlagg", "any_value", "first_value", "json_group_array"}
)

// nondeterministic finds in a query's text what never converges. The database is asked for the rest, such as
// the functions behind a view.
func (r *Report) nondeterministic(a about, sql string) {
	told := map[string]bool{}
	ws := words(sql)
	for i, w := range ws {
		called := i+1 < len(ws) && ws[i+1].text == "("
		qualified := i > 0 && ws[i-1].text == "."
		switch {
		case told[w.text]:
		case called && slices.Contains(changing, w.text), !called && !qualified && slices.Contains(bare, w.text) && (i == 0 || ws[i-1].text != "as"):
			told[w.text] = true
			r.add("NONDETERMINISTIC", a, w.text, "its query uses "+w.text+", which gives another result each time: rows that nobody changed would differ, and no change would tell",
				"compare with it where the rows are read, or store the time in a column")
		case called && slices.Contains(ordered, w.text) && !sorted(ws[i+1:]):
			told[w.text] = true
			r.add("AGGREGATE_ORDER", a, w.text, w.text+" has no ORDER BY, so that its order is the plan's and may differ for the same rows", "write the order into it: "+w.text+"(x ORDER BY x)")
		}
	}
}

// sorted reports whether the brackets that ws begins with hold an ORDER BY or a DISTINCT at their own level, or are
// followed by WITHIN GROUP or OVER.
func sorted(ws []word) bool {
	for i, w := range ws {
		switch {
		case i > 0 && w.depth == ws[0].depth && w.text == ")":
			return i+1 < len(ws) && slices.Contains([]string{"within", "over"}, ws[i+1].text)
		case w.depth == ws[0].depth+1 && (w.text == "order" || w.text == "distinct"):
			return true
		}
	}
	return false
}
