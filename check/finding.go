package check

import (
	"cmp"
	"fmt"
	"slices"

	"rejot.dev/rejot/manifest"
)

// A Place is a line of a file. Line 0 is the whole file.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

// String is file:line, as editors and terminals make a link of it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// A Finding is something that a rule found.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Verdict  Verdict  `json:"verdict"`
	Place    Place    `json:"place"`
	Contract string   `json:"contract,omitempty"` // like "public schema account 1.0"; empty: the manifest
	Field    string   `json:"field,omitempty"`
	Text     string   `json:"text"`
	Detail   string   `json:"detail,omitempty"` // several lines: a picture, a statement
	Mend     string   `json:"mend,omitempty"`
	Page     string   `json:"page"`
	Reason   string   `json:"reason,omitempty"` // why the manifest gives it another severity

	owner string // the slug of the manifest whose checks speak of it
}

// A Report is what a check found.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count tells how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Has reports whether a rule found something.
func (r *Report) Has(rule string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == rule })
}

// Failed reports whether a finding is an error.
func (r *Report) Failed() bool { return r.Count(Error) > 0 }

// about is what a finding is about: a contract or manifest with its place.
type about struct {
	contract string
	place    Place
	owner    string
}

// add adds a finding of a rule, with the rule's own verdict.
func (r *Report) add(id string, a about, field, text, mend string) *Finding {
	rule, _ := RuleOf(id)
	r.Findings = append(r.Findings, Finding{
		Rule: id, Severity: rule.Severity(), Verdict: rule.Verdict, Place: a.place, Contract: a.contract, Field: field,
		Text: text, Mend: mend, Page: rule.Page(), owner: a.owner,
	})
	return &r.Findings[len(r.Findings)-1]
}

// judge gives the finding a verdict of its own.
func (f *Finding) judge(v Verdict) *Finding {
	f.Verdict, f.Severity = v, v.severity()
	return f
}

// Finish applies what the manifests' checks say, drops what is switched off and sorts. A finding about a
// contract is under the checks of the manifest that it stands in.
func (r *Report) Finish(manifests []*manifest.Manifest) {
	checks := map[string]map[string]manifest.Check{}
	for _, m := range manifests {
		checks[m.Slug] = m.Checks
	}
	var kept []Finding
	for _, f := range r.Findings {
		rule, _ := RuleOf(f.Rule)
		c, ok := checks[f.owner][f.Rule]
		// What is compatible under a rule that is breaking else has been proved; a louder rule does not undo that.
		proved := f.Severity == Info && rule.Severity() != Info
		if ok && !rule.Fixed && c.Reason != "" && (!proved || Severity(c.Severity) == Off) {
			f.Severity, f.Reason = Severity(c.Severity), c.Reason
		}
		if f.Severity != Off {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Contract, b.Contract), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	r.Findings = slices.CompactFunc(kept, func(a, b Finding) bool { return a == b })
}

func rank(s Severity) int { return slices.Index([]Severity{Error, Warning, Info, Off}, s) }
