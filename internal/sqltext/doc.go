// Package sqltext finds the placeholders of a SQL statement, :name or $1, and puts other text in
// their place. It is a lexer: it knows what is a string, a quoted identifier, a comment, a cast, and
// nothing of what the statement means. The database is asked for that.
//
// A statement goes in as somebody wrote it; out comes its text without what follows its last token
// (blanks, comments, a semicolon), so that it may be put inside brackets, and the places of its
// placeholders in it.
//
// # Colons inside square brackets
//
// PostgreSQL writes array slices with a colon. Names do not begin with a digit, so a[1:2] and a[:2]
// have no placeholder. For the rest, directly inside square brackets:
//
//   - After an opening bracket, a comma, an operator or a blank, :name is a placeholder: a[:i],
//     ARRAY[:x, :y], a[:lo : :hi], a[CASE WHEN b THEN :x END].
//   - After something that is a value by itself (a number, a string, a placeholder, a closing bracket)
//     the colon is a slice's, with or without blanks: a[1:n] and a[f(x) :n] end at column n. A
//     placeholder there would be two values without an operator between them.
//   - After a word the colon is a slice's where it touches the word, as in a[lo:hi], and begins a
//     placeholder where a blank is between them, since the word may be THEN.
//   - Two colons are a cast everywhere: a slice between two placeholders needs a blank, a[:lo : :hi].
package sqltext
