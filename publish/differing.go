package publish

import (
	"context"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Difference is a key whose rows by two queries are not the same.
type Difference struct {
	Key      []rejot.Value
	Old, New [][]rejot.Value // rows, in the order of the views' shapes
}

// Comparable reports whether the rows of two views of one public schema can be compared key by key: they
// have the same keys under the same names.
func Comparable(a, b *contract.View) bool {
	same := func(a, b rejot.Column) bool { return a.Name == b.Name && a.Type.Name == b.Type.Name }
	return a.Base == b.Base && slices.EqualFunc(a.Key, b.Key, same) && slices.EqualFunc(a.Shape.Key, b.Shape.Key, same) &&
		slices.Equal(a.KeyNames, b.KeyNames)
}

// Differing gives those of keys whose rows by one view and by another differ in snap, in the columns of the new one that
// uses approves. A column that the old one has not differs in every row.
func Differing(ctx context.Context, snap rejot.Snapshot, before, after *contract.View, keys [][]rejot.Value, uses func(column string) bool) ([]Difference, error) {
	var found []Difference
	for chunk := range slices.Chunk(keys, firstChunk) {
		then, err := rowsOf(ctx, snap, before.Rows, chunk)
		if err != nil {
			return nil, err
		}
		now, err := rowsOf(ctx, snap, after.Rows, chunk)
		if err != nil {
			return nil, err
		}
		for i, key := range chunk {
			if !sameRows(before.Shape, after.Shape, then[i], now[i], uses) {
				found = append(found, Difference{key, then[i], now[i]})
			}
		}
	}
	return found, nil
}

// rowsOf gives the rows of each key.
func rowsOf(ctx context.Context, snap rejot.Snapshot, q *rejot.Query, keys [][]rejot.Value) ([][][]rejot.Value, error) {
	rows := make([][][]rejot.Value, len(keys))
	err := snap.Query(ctx, q, each(keys), func(a rejot.Answer) error {
		rows[a.Tuple] = append(rows[a.Tuple], slices.Clone(a.Row))
		return nil
	})
	return rows, err
}

func sameRows(before, after *rejot.Shape, then, now [][]rejot.Value, uses func(string) bool) bool {
	if len(then) != len(now) {
		return false
	}
	var was, is []int // of the columns that count
	for i, c := range after.Row {
		if !uses(c.Name) {
			continue
		}
		at := slices.IndexFunc(before.Row, func(x rejot.Column) bool { return x.Name == c.Name && x.Type.Name == c.Type.Name })
		if at < 0 {
			return len(now) == 0
		}
		was, is = append(was, at), append(is, i)
	}
	return slices.Equal(picked(then, was), picked(now, is))
}

// picked are the values of some columns, a row each, in an order of their own: rows of a key have none.
func picked(rows [][]rejot.Value, columns []int) []string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		var tuple []byte
		for _, c := range columns {
			tuple = appendValues(tuple, row[c:c+1])
		}
		texts[i] = string(tuple)
	}
	slices.SortFunc(texts, strings.Compare)
	return texts
}
