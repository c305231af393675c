package myapply

// Blocked is how many blocks have been run.
func (a *Applier) Blocked() int { return a.blocked }

// Forms is how much is kept about the forms of operations.
func (a *Applier) Forms() int { return len(a.types) + len(a.blocks) }
