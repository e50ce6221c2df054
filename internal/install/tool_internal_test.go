package install

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAMigrationFollowsTheNewestOfTheTool(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		tool  string
		names []string
		want  []string
	}{
		{"goose", nil, []string{"db/20261130120000_a.sql"}},
		{"goose", []string{"00001_x.sql", "00009_y.sql", "README.md"}, []string{"db/00010_a.sql"}},
		{"goose", []string{"20251130120000_x.sql"}, []string{"db/20261130120000_a.sql"}},
		{"goose", []string{"20271130120000_x.sql"}, []string{"db/20271130120001_a.sql"}},
		{"golang-migrate", []string{"9_x.up.sql", "10_x.up.sql"}, []string{"db/11_a.down.sql", "db/11_a.up.sql"}},
		{"dbmate", nil, []string{"db/20261130120000_a.sql"}},
		{"sql-migrate", nil, []string{"db/20261130120000-a.sql"}},
		{"sql-migrate", []string{"0003-x.sql"}, []string{"db/0004-a.sql"}},
	} {
		files, first := tool{test.tool, "db"}.files(test.names, "a", "UP;\n", "DOWN;\n", now)
		assert.Equal(t, test.want, slices.Sorted(maps.Keys(files)), test)
		assert.Contains(t, files[first], "UP;\n")
		of := toolOf(first, files[first])
		assert.Equal(t, test.tool, of)
	}
}

func TestTheToolIsThatOfTheFiles(t *testing.T) {
	t.Parallel()
	two := found{tools: []tool{{"goose", "db/sqlite3"}, {"goose", "db/postgres"}}}
	for _, test := range []struct {
		found
		value, db string
		want      tool
		reason    Reason
	}{
		{found{}, "", sqlite, tool{}, ""},
		{found{tools: []tool{{"goose", "db"}}}, "", sqlite, tool{"goose", "db"}, ""},
		{found{sums: []string{"migrate"}, tools: []tool{{"goose", "db"}}}, "", sqlite, tool{}, ""},
		{found{sums: []string{"migrate"}, tools: []tool{{"goose", "db"}}}, "goose", sqlite, tool{"goose", "db"}, ""},
		{two, "", sqlite, tool{"goose", "db/sqlite3"}, ""},
		{two, "", "mysql", tool{}, SeveralTools},
		{two, "goose=db/postgres", "mysql", tool{"goose", "db/postgres"}, ""},
		{found{}, "dbmate", "mysql", tool{}, SeveralTools},
		{found{}, "dbmate=db/", "mysql", tool{"dbmate", "db"}, ""},
		{found{}, "dbmate=../db", "mysql", tool{}, UnknownTool},
		{found{}, "flyway", "mysql", tool{}, UnknownTool},
	} {
		got, err := test.chooseTool(test.value, test.db)
		if test.reason != "" {
			var refused *Error
			require.ErrorAs(t, err, &refused, test)
			assert.Equal(t, test.reason, refused.Reason)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, test.want, got)
	}
}
