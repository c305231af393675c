package publish

import (
	"errors"
	"fmt"
	"slices"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/spill"
)

// A Publisher evaluates the views of one source.
type Publisher struct {
	source string
	views  []*contract.View
	shapes []*rejot.Shape
	pool   *spill.Pool
	slots  []slot
	tables map[contract.TableName][]route
	chunk  int // how many keys the next chunk of an evaluation has; of the goroutine that evaluates
}

// A slot is a kind of tuple: the keys of a view, or the images of a route that a statement leads to keys.
type slot struct {
	view  int
	width int
	keys  *rejot.Query // nil for the keys themselves
}

// A route is a contract.Route with its place among the slots.
type route struct {
	contract.Route
	view int
	slot int
}

// New makes a publisher of source's views. Its sets and events spill into pool.
func New(source string, views []*contract.View, pool *spill.Pool) *Publisher {
	p := &Publisher{source: source, views: views, pool: pool, tables: map[contract.TableName][]route{}, chunk: firstChunk}
	for i, v := range views {
		p.shapes = append(p.shapes, v.Shape)
		direct := p.addSlot(slot{view: i, width: len(v.Key)})
		for _, r := range v.Routes {
			to := direct
			if r.Keys != nil {
				to = p.addSlot(slot{view: i, width: len(r.Columns), keys: r.Keys})
			}
			p.tables[r.Table] = append(p.tables[r.Table], route{Route: r, view: i, slot: to})
		}
	}
	return p
}

func (p *Publisher) addSlot(s slot) int {
	p.slots = append(p.slots, s)
	return len(p.slots) - 1
}

// Views are the views that it evaluates; a view's index names it in Keys.
func (p *Publisher) Views() []*contract.View { return p.views }

// Tables are the tables whose changes the views need, sorted.
func Tables(views []*contract.View) []contract.TableName {
	seen := map[contract.TableName]bool{}
	var names []contract.TableName
	for _, v := range views {
		for _, r := range v.Routes {
			if !seen[r.Table] {
				seen[r.Table] = true
				names = append(names, r.Table)
			}
		}
	}
	slices.SortFunc(names, func(a, b contract.TableName) int {
		return slices.Compare([]string{a.Schema, a.Name}, []string{b.Schema, b.Name})
	})
	return names
}

// A ViewError is a failure of one view, while the others are well.
type ViewError struct {
	View int
	Err  error
}

// Error names the cause; the view is named in it.
func (e *ViewError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ViewError) Unwrap() error { return e.Err }

// viewError says that err is one view's, unless it is the whole source's.
func (p *Publisher) viewError(view int, err error) error {
	var already *ViewError
	if err == nil || errors.As(err, &already) {
		return err
	}
	switch rejot.CodeOf(err) {
	case rejot.NotFound, rejot.Invalid, rejot.Denied, rejot.Unsupported, rejot.Rejected:
	default:
		return err
	}
	return &ViewError{View: view, Err: fmt.Errorf("%s: %w", p.views[view].Schema, err)}
}
