package migratedtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/migratedtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

func TestACopyIsWhatTheMigrationsMake(t *testing.T) {
	t.Parallel()
	mysqltest.Each(t, func(t *testing.T, url string) {
		migratedtest.Apply(t, url)
		again := mysqltest.Another(t, url)
		migratedtest.Apply(t, again)
		require.NotEmpty(t, mysqltest.Tables(t, again))
		require.Equal(t, dump(t, url), dump(t, again))
		status, err := migrate.ReadStatus(t.Context(), again, migrate.StatusOptions{})
		require.NoError(t, err)
		require.Empty(t, status.Pending)
	})
}

// dump is without what MySQL prints of a column's character set if, and only if, it was given with the column.
func dump(t *testing.T, url string) string {
	t.Helper()
	return strings.ReplaceAll(mysqltest.Dump(t, url), " CHARACTER SET utf8mb4", "")
}
