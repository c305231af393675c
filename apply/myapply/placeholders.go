package myapply

import (
	"slices"

	"rejot.dev/rejot/internal/sqltext"
)

// placeholders puts question marks in the place of a statement's placeholders and names these, one a
// place. inBlock has a block's columns in their place.
func placeholders(sql string) (text, inBlock string, names []string, err error) {
	st, err := sqltext.Parse(sqltext.MySQL, sql)
	if err != nil {
		return "", "", nil, err
	}
	for _, p := range st.Places {
		names = append(names, p.Name)
	}
	text = st.Render(func(int, string) string { return "?" })
	inBlock = st.Render(func(_ int, name string) string { return "rejot_row." + blockColumn(slices.Index(names, name)) })
	return text, inBlock, names, nil
}
