package check

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Picture draws the way from each table to the key, the base first, with what one changed row costs:
//
//	account (id) is the key
//	'- account_emails -- account_id = account.id --> key     1 change ~ 1 key
func Picture(d *Description) string {
	var b strings.Builder
	key := strings.Join(columnNames(d.Key), ", ")
	rows := "one row a key"
	if d.Many {
		rows = "several rows a key"
	}
	fmt.Fprintf(&b, "%s (%s) is the key; %s\n", d.Base, key, rows)
	ways := slices.DeleteFunc(slices.Clone(d.Ways), func(w Way) bool { return w.Direct && w.Table == d.Base && len(w.Steps) == 0 })
	lines := make([]string, len(ways))
	width := 0
	for i, w := range ways {
		branch := "+- "
		if i == len(ways)-1 {
			branch = "'- "
		}
		lines[i] = branch + w.path(d.Base)
		width = max(width, len([]rune(lines[i])))
	}
	for i, w := range ways {
		fmt.Fprintf(&b, "%s%s  1 change ~ %s\n", lines[i], strings.Repeat(" ", width-len([]rune(lines[i]))), w.cost())
	}
	return strings.TrimRight(b.String(), "\n")
}

func (w Way) path(base string) string {
	name := w.Table
	if w.Leaf != "" && w.Leaf != w.Table {
		name += " (" + w.Leaf + ")"
	}
	switch {
	case w.All:
		return name + " -- every key of " + base
	case w.Given:
		return name + " -- as declared --> key"
	case len(w.Steps) == 0:
		return name + " --> key"
	}
	return name + " -- " + strings.Join(w.Steps, " -- ") + " --> key"
}

func (w Way) cost() string {
	switch {
	case w.FanOut == 0:
		return "? keys (ANALYZE tells)"
	case w.FanOut < 1.5:
		return "1 key"
	default:
		return fmt.Sprintf("%.0f keys", math.Round(w.FanOut))
	}
}
