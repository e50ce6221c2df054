package dburl_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dburl"
)

func TestRenamedNamesAnotherDatabaseAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"mysql://app:p%2Fw@h:3306/old?tls=true":    "mysql://app:p%2Fw@h:3306/new?tls=true",
		"mariadb://app@h:3306":                     "mariadb://app@h:3306/new",
		"mysql://app@h1:3306,h2:3306/old":          "mysql://app@h1:3306,h2:3306/new",
		"mysql+unix:///run/s.sock?database=old":    "mysql+unix:///run/s.sock?database=new",
		"app:a/b?c@tcp(h:3306)/old?parseTime=true": "app:a/b?c@tcp(h:3306)/new?parseTime=true",
		"sqlite://old":                             "sqlite://new",
	} {
		got, err := dburl.Renamed(raw, "new")
		require.NoError(t, err, raw)
		assert.Equal(t, want, got)
		u, err := dburl.Parse(got)
		require.NoError(t, err, got)
		assert.Equal(t, "new", u.Database())
	}
}
