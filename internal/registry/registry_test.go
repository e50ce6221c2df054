package registry_test

import (
	"testing"

	"entgo.io/ent/dialect/sql/schema"
	"github.com/stretchr/testify/assert"

	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/ent/migrate"
	"github.com/authgraph/authgraph/internal/registry"
)

func TestTheSeedsEntitiesComeFirst(t *testing.T) {
	t.Parallel()
	var tables []string
	for _, e := range registry.Entities[:4] {
		tables = append(tables, e.Table)
		assert.NotEmpty(t, registry.Own(e.Table))
	}
	assert.Equal(t, []string{"users", "otps", "sessions", "refresh_tokens"}, tables)
	assert.Len(t, registry.Tables(), len(migrate.Tables))
	assert.Nil(t, registry.Table("gadgets"))
	assert.Nil(t, registry.Own("gadgets"))
}

// What ends is deleted one day, and what belongs to an account goes with it.
func TestEveryTableIsPurged(t *testing.T) {
	t.Parallel()
	purged := map[string]bool{}
	for table := range (auth.Purged{}).PerTable() {
		purged[table] = true
	}
	for _, table := range registry.With("expires_at") {
		assert.True(t, purged[table], "table %s has expires_at, and nothing deletes its rows. In auth/purge.go add a "+
			"count to Purged, yield it in Purged.PerTable, and give the table a line in purgedTables with a function "+
			"such as purgeSessions. If its rows hang on a user, count them in fitting and delete them in emptyAccount",
			table)
	}
	for _, of := range registry.To("users") {
		for _, fk := range registry.Table(of.Table).ForeignKeys {
			if fk.RefTable.Name != "users" {
				continue
			}
			assert.Equal(t, schema.Cascade, fk.OnDelete, "a purge could not delete an account with rows in %s: "+
				"annotate the edge in ent/schema/user.go with entsql.OnDelete(entsql.Cascade)", of.Table)
		}
	}
}
