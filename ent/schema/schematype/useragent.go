package schematype

import "strings"

// MaxUserAgentLen is the longest User-Agent header the tables hold, in characters.
const MaxUserAgentLen = 255

// CutUserAgent keeps a sign-in from failing on a header the client made up: bytes that are not UTF-8 are replaced and
// the rest is cut to the column. The schema applies it to every write.
func CutUserAgent(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n == MaxUserAgentLen {
			return s[:i]
		}
		n++
	}
	return s
}
