package pgtree

import "testing"

func TestFieldsAreFoundByName(t *testing.T) {
	v, err := Parse(`({QUERY :a 1 :b <> :c (i 3 -4) :d ({VAR :varno 3} <>) :e true})`)
	if err != nil {
		t.Fatal(err)
	}
	q := v.Items[0]
	if !q.Is("QUERY") || q.Int("a") != 1 || !q.Get("b").IsNull() || !q.Has("b") || q.Has("z") || !q.Bool("e") {
		t.Errorf("fields of %v are wrong", q)
	}
	if c := q.Get("c"); c.Mark != "i" || len(c.Items) != 2 || c.Items[1].Number() != -4 {
		t.Errorf("list of numbers is %v", c)
	}
	if d := q.List("d"); len(d) != 2 || d[0].Int("varno") != 3 || !d[1].IsNull() {
		t.Errorf("list of nodes is %v", d)
	}
}

func TestValueThatLooksLikeAnotherThing(t *testing.T) {
	v, err := Parse(`{ALIAS :aliasname :x :colnames (":y" "a\ b" "\(" "\"q\"" "") :empty "" :not \<> :quote \"a :b 4 [ 1 0 -1 0 ] :last (b)}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Str("aliasname"); got != ":x" {
		t.Errorf("alias is %q", got)
	}
	var names []string
	for _, c := range v.List("colnames") {
		names = append(names, c.Text)
	}
	want := []string{":y", "a b", "(", `"q"`, ""}
	for i := range want {
		if i >= len(names) || names[i] != want[i] {
			t.Fatalf("names are %q, want %q", names, want)
		}
	}
	if got := v.Get("not"); got.Kind != Atom || got.Text != "<>" {
		t.Errorf("escaped <> is %v", got)
	}
	if got := v.Str("quote"); got != `"a` {
		t.Errorf("escaped quote is %q", got)
	}
	if got := v.Get("b").Bytes; len(got) != 4 || got[2] != 255 {
		t.Errorf("bytes are %v", got)
	}
	if v.Get("last").Mark != "b" {
		t.Error("the field after bytes is lost")
	}
}

func TestBrokenTextIsAnError(t *testing.T) {
	for _, s := range []string{"", "(", "{", "{A", "{A :b", "{A b}", "{A :b }", "{A :b 1 2}", "1 2", ")", "{A : 1}", "{A :b 1 [ x ]}", "{A :b 1 [ 1"} {
		if v, err := Parse(s); err == nil {
			t.Errorf("%q gives %v", s, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`({QUERY :a 1 :b <> :c (i 3 -4) :d ({VAR :varno 3} <>) :e true})`)
	f.Add(`{ALIAS :aliasname :x :colnames (":y" "a\ b") :b 4 [ 1 0 -1 0 ]}`)
	f.Fuzz(func(_ *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		v.Walk(func(v *Value) bool {
			_, _, _ = v.Number(), v.Get("a"), v.List("b")
			return true
		})
	})
}
