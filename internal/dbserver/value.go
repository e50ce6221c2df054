package dbserver

import (
	"regexp"
	"strings"
)

// withValue are the server's errors whose texts hold a value of a row, by their numbers (MySQL manual, Server Error
// Message Reference; MariaDB documentation, Error Codes), and what is said instead. What a SIGNAL says stays: whoever
// wrote it decides.
var withValue = map[string]string{
	"1062": "rows are equal in a unique index",
	"1292": "a value is of another type",
	"1300": "a value has characters that its character set has not",
	"1366": "a value is of another type or character set",
	"1411": "a function does not take a value",
	"1525": "a value is of another type",
	"1526": "a value has no partition",
	"1557": "rows would be equal in a unique index",
	"1569": "rows would be equal in a unique index",
	"1586": "rows are equal in a unique index",
	"1690": "a value is out of range",
	"1761": "rows would be equal in a unique index",
	"1762": "rows would be equal in a unique index",
	"1916": "a value is out of range",                            // MariaDB
	"1918": "a value is of another type",                         // MariaDB
	"1977": "a value has characters that the column cannot hold", // MariaDB
	"3854": "a value has characters that the column cannot hold",
}

var (
	// serverError is how the driver begins an error of the server.
	serverError = regexp.MustCompile(`Error (\d+)(?: \(\w{5}\))?: `)
	// afterValue is a text of the server that says behind the value where it is.
	afterValue = regexp.MustCompile(`(?s)^(?:Duplicate entry '.*' for (key '[^']*')|` +
		`Incorrect .* for (column \S+ at row \d+))$`)
)

// HideValue is the text of an error without the value of a row, which may be an address or a hash.
func HideValue(text string) string {
	for _, m := range serverError.FindAllStringSubmatchIndex(text, -1) {
		what, ok := withValue[text[m[2]:m[3]]]
		if !ok || strings.HasPrefix(text[m[1]:], what) {
			continue
		}
		if at := afterValue.FindStringSubmatch(text[m[1]:]); at != nil {
			what += " (" + at[1] + at[2] + ")"
		}
		return text[:m[1]] + what
	}
	return text
}

// withheld is an error whose text has lost a value of a row.
type withheld struct {
	text string
	err  error
}

func (e *withheld) Error() string { return e.text }
func (e *withheld) Unwrap() error { return e.err }

// WithoutValue is err with a text that holds no value of a row.
func WithoutValue(err error) error {
	if text := HideValue(err.Error()); text != err.Error() {
		return &withheld{text, err}
	}
	return err
}
