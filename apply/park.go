package apply

import (
	"rejot.dev/rejot"
)

// A Parking says what becomes of an operation whose key is in the quarantine. There the latest state of
// a key is kept, all of its statements and the error that brought it there, until somebody retries or
// skips it.
type Parking uint8

// The ways to park.
const (
	NotParked   Parking = iota
	ParkNew             // the key begins to be parked, with Op.Reason
	ParkReplace         // the key is parked, and this is its new state
	ParkAppend          // a further row of the key, behind what this batch has parked of it
)

// parkMost is how many keys of one batch a consumer may park. More is not the rows' trouble but its own.
const parkMost = 100

// park makes the key that was refused first a parked one, so that the rest goes on, and reports
// whether that is wanted and possible.
func (p *part) park() bool {
	if p.target.Consumer.OnError != "quarantine" || p.firstKey == "" || rejot.CodeOf(p.first) != rejot.Rejected ||
		len(p.parked) == parkMost || p.parked[p.firstKey] != nil {
		return false
	}
	if p.parked == nil {
		p.parked = map[string]error{}
	}
	p.parked[p.firstKey] = p.first
	p.first, p.firstKey, p.tried, p.order = nil, "", [orders]bool{}, p.target.order
	return true
}

// isParked reports whether an event's key is in the quarantine, or gets there in this run.
func (p *part) isParked(ev *rejot.Event) bool {
	if len(p.parked) == 0 && len(p.target.Parked) == 0 {
		return false
	}
	key := KeyText(ev.Key)
	return p.parked[key] != nil || p.target.Parked[key] && !p.cleared
}

// parking says what becomes of an event's statement.
func (p *part) parking(k Kind, ev *rejot.Event) (Parking, error) {
	if !p.isParked(ev) {
		return NotParked, nil
	}
	key := KeyText(ev.Key)
	switch {
	case ev.Shape.Many && k == Upsert:
		return ParkAppend, nil
	case p.target.Parked[key] && !p.cleared && p.parked[key] == nil:
		return ParkReplace, nil
	default:
		return ParkNew, p.parked[key]
	}
}

// settle notes in the target what the run has committed.
func (p *part) settle() {
	if p.cleared {
		clear(p.target.Parked)
	}
	for key := range p.parked {
		if p.target.Parked == nil {
			p.target.Parked = map[string]bool{}
		}
		p.target.Parked[key] = true
	}
}
