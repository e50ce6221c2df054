package cli

import (
	"regexp"
	"strings"
)

// shellWord quotes a text if a shell needs that.
func shellWord(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var plain = regexp.MustCompile(`^[\pL\pN_./:@%+=,-]+$`)
