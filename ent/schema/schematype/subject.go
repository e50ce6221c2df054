package schematype

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// ValidateSubject checks the id of a person at a provider, of which the column compares every byte but spaces at the
// end: MySQL and MariaDB pad with them what they compare, and no collation that both have does otherwise. So there is
// no white space around it. It is valid UTF-8. The error does not repeat it.
func ValidateSubject(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("has white space around it")
	}
	return nil
}
