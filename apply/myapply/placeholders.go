package myapply

import "rejot.dev/rejot/internal/sqltext"

// placeholders puts question marks in the place of a statement's placeholders and names these, one a place.
func placeholders(sql string) (text string, names []string, err error) {
	st, err := sqltext.Parse(sqltext.MySQL, sql)
	if err != nil {
		return "", nil, err
	}
	for _, p := range st.Places {
		names = append(names, p.Name)
	}
	return st.Render(func(int, string) string { return "?" }), names, nil
}
