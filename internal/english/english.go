// Package english puts numbers into sentences for a reader.
//
//	english.Count(2, "query") // 2 queries
package english

import (
	"fmt"
	"strings"
)

// Count returns a number with its noun, which is given in the singular.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch {
	case noun == "index":
		noun = "indexes"
	case strings.HasSuffix(noun, "ry"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
