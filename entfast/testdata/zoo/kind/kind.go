// Package kind has the Go types of the zoo's fields.
package kind

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
)

// Intercepted counts the queries of ghosts.
var Intercepted atomic.Int64

// Key of a context opens the vault.
type Key struct{}

// Code is a string.
type Code string

// Level is a number.
type Level int32

// Note scans itself. NULL is a note too.
type Note struct{ Text string }

// Scan implements sql.Scanner.
func (n *Note) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		n.Text = "none"
	case []byte:
		n.Text = string(v)
	case string:
		n.Text = v
	default:
		return fmt.Errorf("a note of type %T", src)
	}
	return nil
}

// Value implements driver.Valuer. Without a text it is NULL.
func (n Note) Value() (driver.Value, error) {
	if n.Text == "" || n.Text == "none" {
		return nil, nil
	}
	return n.Text, nil
}

// Size is stored as JSON.
type Size struct{ Height, Width int }

// Path is stored with dots.
type Path []string

// Join is how it is stored.
func (p Path) Join() string { return strings.Join(p, ".") }
