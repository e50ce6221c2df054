package schema

import (
	"database/sql"
	"strings"
	"testing"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"github.com/authgraph/authgraph/internal/entgraph"
)

// A CHECK accepts the values that the client writes and refuses others, however the column and its values are spelt.
func TestACheckHoldsForAnyNameAndValue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		field  ent.Field
		column string
		good   []any
		bad    any
	}{
		"capitals":    {field.Enum("plan").Values("free", "Pro", "ÖKO"), "plan", []any{"free", "Pro", "ÖKO"}, "pro"},
		"a quote":     {field.Enum("team").Values("theirs", "o'brien"), "team", []any{"theirs", "o'brien"}, "obrien"},
		"a keyword":   {field.String("order"), "order", []any{"first"}, []byte("first")},
		"a function":  {field.Time("current_date"), "current_date", []any{"2026-01-02 03:04:05+00:00"}, "tomorrow"},
		"a key":       {field.Bool("shown").StorageKey("is_shown"), "is_shown", []any{true, false}, "true"},
		"a key to it": {field.Int32("place").StorageKey("group"), "group", []any{1, -1}, "many"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := strict([]ent.Field{test.field})[0].Descriptor()
			require.NoError(t, d.Err)
			id := &schema.Column{Name: "id", Type: field.TypeInt, Increment: true}
			table := schema.NewTable("things").AddPrimary(id)
			table.AddColumn(&schema.Column{Name: test.column, Type: d.Info.Type, SchemaType: d.SchemaType})
			ddl, err := entgraph.SQL(t.Context(), dialect.SQLite, []*schema.Table{table})
			require.NoError(t, err)

			db, err := sql.Open("sqlite", ":memory:")
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, db.Close()) })
			db.SetMaxOpenConns(1) // each has a database of its own
			_, err = db.ExecContext(t.Context(), ddl)
			require.NoError(t, err, ddl)
			insert := "INSERT INTO things (`" + test.column + "`) VALUES (?)"
			for _, v := range test.good {
				_, err = db.ExecContext(t.Context(), insert, v)
				require.NoError(t, err, ddl)
			}
			_, err = db.ExecContext(t.Context(), insert, test.bad)
			assert.ErrorContains(t, err, "CHECK constraint failed: "+test.column+"_is_")
		})
	}
}

// SQLite up to 3.40 takes NULL for no valid JSON, later ones say NULL: a CHECK that is true of it holds on each.
func TestACheckOfJSONIsTrueOfNull(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	d := strict([]ent.Field{field.JSON("face", map[string]string{}).Optional()})[0].Descriptor()
	_, condition, _ := strings.Cut(d.SchemaType[dialect.SQLite], " check ")
	var is sql.NullBool
	row := db.QueryRowContext(t.Context(), "SELECT "+condition+" FROM (SELECT NULL AS face)")
	require.NoError(t, row.Scan(&is))
	assert.Equal(t, sql.NullBool{Bool: true, Valid: true}, is)
}
