package queryplan

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	t.Parallel()
	queries, err := All()
	require.NoError(t, err)
	assert.Equal(t, text, Format(queries))
	for _, q := range queries {
		assert.NotEmpty(t, q.Server, q.SQL)
		assert.NotEmpty(t, q.SQLite, q.SQL)
		assert.NotEmpty(t, q.SentBy, q.SQL)
	}
}

func TestAccessesAreReadBack(t *testing.T) {
	t.Parallel()
	want := []Query{{
		SQL:    "SELECT 1",
		Server: []Access{{Table: "a", Index: "PRIMARY"}, {Table: "b", Index: "i", Sorted: true}, {Table: "c"}},
		SQLite: []Access{{Table: "c", Sorted: true}},
		SentBy: []string{"sign in", "sign out"},
	}}
	got, err := parse(Format(want))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.True(t, got[0].Server[0].IsPrimary())
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\tserver: a.b\n":         "queries.txt:1: no statement comes before",
		"SELECT 1\n\tserver: a\n": `queries.txt:2: "a" is not of the form table.index`,
		"SELECT 1\n\tother: a\n":  "queries.txt:2: is neither of",
	} {
		_, err := parse(text)
		assert.ErrorContains(t, err, want)
	}
}
