package myapply

// Blocked is how many blocks have been run.
func (a *Applier) Blocked() int { return a.blocked }
