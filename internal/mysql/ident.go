package mysql

import "strings"

// Quote writes an identifier for a statement.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Literal writes a text as a literal that holds under every sql_mode: in hexadecimal.
func Literal(text string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	b.Grow(2*len(text) + 12)
	b.WriteString("_utf8mb4 X'")
	for i := range len(text) {
		b.WriteByte(digits[text[i]>>4])
		b.WriteByte(digits[text[i]&15])
	}
	b.WriteByte('\'')
	return b.String()
}
