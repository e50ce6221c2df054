package planner

import (
	"fmt"
	"regexp"
	"strconv"
)

// goEscape matches an escape of Go's, and with it the backslash that is none.
var goEscape = regexp.MustCompile(`\\(\\|x[0-9a-f]{2}|[abfv])`)

// hclEscapes writes the escapes of Go's that are left in HCL, where a type or a condition was quoted, as HCL reads them
// (HCL Native Syntax Specification, Quoted Template Expressions).
func hclEscapes(hcl []byte) []byte {
	return goEscape.ReplaceAllFunc(hcl, func(escape []byte) []byte {
		switch escape[1] {
		case '\\':
			return escape
		case 'x':
			return append([]byte(`\u00`), escape[2:]...)
		}
		r, _, _, _ := strconv.UnquoteChar(string(escape), '"') // it is one of those that Go has
		return fmt.Appendf(nil, `\u%04x`, r)
	})
}
