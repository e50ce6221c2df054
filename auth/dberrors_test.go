package auth

import (
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
)

// fieldError is an error as that of mattn/go-sqlite3, whose code is a field and no method.
type fieldError struct {
	Code int
	text string
}

func (e fieldError) Error() string { return e.text }

func TestALockedFileIsBusyWhateverTheDriver(t *testing.T) {
	t.Parallel()
	for text, busy := range map[string]bool{
		"database is locked":                      true,
		"database table is locked: users":         true,
		"UNIQUE constraint failed: users.email":   false,
		"attempt to write a readonly database":    false,
		"unable to open database file: no memory": false,
	} {
		err := fmt.Errorf("sign in: %w", fieldError{Code: 5, text: text})
		assert.Equal(t, busy, isBusy(err), text)
		assert.Equal(t, busy, mayRepeat(err), text)
	}
	server := &mysql.MySQLError{Number: 1062, Message: "Duplicate entry 'database is locked' for key 'name'"}
	assert.False(t, isBusy(server))
	assert.True(t, isSQLite(fieldError{text: "attempt to write a readonly database"}, sqliteReadOnly))
	assert.True(t, isSQLite(fieldError{text: "database or disk is full"}, sqliteFull))
	assert.True(t, isSQLite(fieldError{text: "unable to open database file"}, sqliteCantOpen))
}
