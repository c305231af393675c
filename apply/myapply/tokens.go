package myapply

import "strings"

// A token is a name or a keyword of a statement.
type token struct {
	text   string
	end    int // in the statement
	quoted bool
}

// tokens are a statement's names and keywords, without what stands in texts and comments.
func tokens(sql string) []token {
	var out []token
	for i := 0; i < len(sql); {
		end := i + 1
		switch b := sql[i]; {
		case b == '\'' || b == '"':
			end = pastText(sql, i)
		case b == '`':
			end = pastText(sql, i)
			out = append(out, token{strings.ReplaceAll(strings.Trim(sql[i:end], "`"), "``", "`"), end, true})
		case b == '#' || strings.HasPrefix(sql[i:], "-- "):
			end = past(sql, i, "\n")
		case strings.HasPrefix(sql[i:], "/*"):
			end = past(sql, i, "*/")
		case isWord(b):
			for end < len(sql) && isWord(sql[end]) {
				end++
			}
			out = append(out, token{sql[i:end], end, false})
		}
		i = end
	}
	return out
}

func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '$' || b >= 0x80
}

// past is the place behind the next end.
func past(sql string, from int, end string) int {
	if n := strings.Index(sql[from:], end); n >= 0 {
		return from + n + len(end)
	}
	return len(sql)
}

// pastText is the place behind a text that begins with its quote.
func pastText(sql string, from int) int {
	quote := sql[from]
	for i := from + 1; i < len(sql); i++ {
		switch {
		case sql[i] == '\\' && quote != '`':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return len(sql)
}
