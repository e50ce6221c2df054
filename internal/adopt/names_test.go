package adopt_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// The server compares the names of columns and indexes without case, and so does adopt: one run is enough, also where
// the case is all that differs.
func TestAdoptTakesNamesInAnotherCase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ seed, adopted string }{
		"an address": {
			"ALTER TABLE users CHANGE email Email varchar(255) NOT NULL",
			"ALTER TABLE users CHANGE email Email varchar(255) COLLATE utf8mb4_bin NOT NULL",
		},
		"a foreign key": {
			"ALTER TABLE sessions CHANGE user_id User_ID int NOT NULL",
			"ALTER TABLE sessions CHANGE user_id User_ID bigint NOT NULL",
		},
		"the key of users": {
			"ALTER TABLE users CHANGE id ID int NOT NULL AUTO_INCREMENT",
			"ALTER TABLE users CHANGE id ID bigint NOT NULL AUTO_INCREMENT",
		},
		"the key of a code": {
			"ALTER TABLE otps CHANGE id ID int NOT NULL AUTO_INCREMENT",
			"ALTER TABLE otps CHANGE id ID bigint NOT NULL AUTO_INCREMENT, " +
				"CHANGE attempts Attempts int NOT NULL DEFAULT 0",
		},
		"a key of the team's": {
			"CREATE TABLE profiles (User_ID int PRIMARY KEY, " +
				"CONSTRAINT owner FOREIGN KEY (user_id) REFERENCES users (ID))",
			"ALTER TABLE profiles CHANGE User_ID USER_ID bigint",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				drizzletest.Seed(t, url)
				fill(t, url)
				db, dev := mysqltest.DB(t, url), dirtest.Scratch(t, url)
				want, before := dirtest.Definitions(t, url), contents(t, url)
				for _, change := range []string{test.seed, test.adopted} {
					mysqltest.Exec(t, db, change)
					report, err := adopt.Run(t.Context(), dev, url, adopt.Options{})
					require.NoError(t, err)
					require.Empty(t, report.Obstacles)
					_, err = adopt.Run(t.Context(), dev, url, adopt.Options{Apply: true})
					require.NoError(t, err)
					have := mysqltest.Definitions(t, url)
					delete(have, "profiles")
					assert.Equal(t, want, have)
					assert.Equal(t, before, contents(t, url))
					report, err = adopt.Run(t.Context(), dev, url, adopt.Options{})
					require.NoError(t, err)
					assert.Empty(t, report.Statements)
				}
			})
		})
	}
}
