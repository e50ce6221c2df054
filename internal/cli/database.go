package cli

import (
	"errors"
	"os"

	"github.com/authgraph/authgraph/internal/dburl"
)

// database is the database URL, parsed and as it was given. Without a URL the error is errNoDatabase: guessing one
// could hit the wrong database.
func (a *app) database() (*dburl.URL, string, error) {
	raw := a.url
	if raw == "" {
		raw, a.urlFrom = os.Getenv(databaseURL), databaseURL
	}
	if raw == "" {
		return nil, "", errNoDatabase
	}
	u, err := a.parse(raw)
	return u, raw, err
}

// parse reads the database URL.
func (a *app) parse(raw string) (*dburl.URL, error) {
	u, err := dburl.Parse(raw)
	if err == nil {
		a.dialect = u.Dialect
	}
	return u, err
}

// databaseURL is the environment variable that names the database.
const databaseURL = "DATABASE_URL"

var errNoDatabase = errors.New("no database is named: set DATABASE_URL, " +
	"as in mysql://user:password@localhost:3306/app, or use --url (a file .env is not read)")
