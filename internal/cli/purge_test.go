package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/mysqltest"
)

// A purge that is interrupted while it waits for a row keeps what it deleted, says so, and a further one does the rest.
func TestInterruptedPurgeKeepsWhatItDeleted(t *testing.T) {
	t.Parallel()
	program := installed(t)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			mysqltest.EachServer(t, func(t *testing.T, url string) {
				server := mysqltest.DB(t, url)
				require.NoError(t, start(t, program, url, "migrate", "apply").Run())
				for _, stmt := range []string{
					"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.com')",
					"INSERT INTO otps (email, otp_hash_code, type, next_resend_allowed_at, expires_at) " +
						"VALUES ('ada@example.com', 'a', 'signin', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
					"INSERT INTO sessions (user_id, token_hash, expires_at) VALUES (1, 'a', '2026-01-01 00:00:00')",
				} {
					_, err := server.Exec(stmt)
					require.NoError(t, err)
				}
				tx, err := server.Begin()
				require.NoError(t, err)
				defer tx.Rollback()
				_, err = tx.Exec("SELECT * FROM sessions FOR UPDATE")
				require.NoError(t, err)

				r := start(t, program, url, "purge", "--format", format)
				require.NoError(t, r.Start())
				database := databaseOf(t, server)
				mysqltest.Eventually(t, "the purge waits for the session", func() bool {
					return slices.ContainsFunc(statements(t, server), func(s statement) bool {
						return s.database == database && strings.HasPrefix(s.text, "DELETE FROM `sessions`")
					})
				})
				r.interrupt(t, syscall.SIGINT)
				assert.Contains(t, r.stderr.String(),
					"; what was deleted stays so (1 row), run authgraph purge again to go on\n")
				if format == "json" {
					var result struct {
						Complete bool
						Deleted  map[string]int
					}
					require.NoError(t, json.Unmarshal(r.stdout.Bytes(), &result))
					assert.False(t, result.Complete)
					deleted := map[string]int{"otps": 1, "sessions": 0, "refresh_tokens": 0, "users": 0}
					assert.Equal(t, deleted, result.Deleted)
				} else {
					assert.Contains(t, r.stdout.String(), "deleted  1  otps\ndeleted  0  sessions\n")
				}

				require.NoError(t, tx.Rollback())
				again := start(t, program, url, "purge")
				require.NoError(t, again.Run(), "stderr: %s", &again.stderr)
				assert.Contains(t, again.stdout.String(), "deleted  0  otps\ndeleted  1  sessions\n")
			})
		})
	}
}
