package usergraph

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/entgraph"
)

func TestARuleAboutOneFieldKeepsOutWhomAnotherExcludes(t *testing.T) {
	t.Parallel()
	user := &entgraph.Entity{Name: "Member", Table: "members", ID: &entgraph.Field{Name: "id", Column: "id"}}
	user.Fields = []*entgraph.Field{
		{Name: "status", Column: "status", Type: "string"},
		{Name: "deleted_at", Column: "deleted_at", Type: "time", Optional: true},
	}
	for asked, want := range map[string]string{
		"status = 'active'": "u.`status` = 'active' AND u.`deleted_at` IS NULL",
		"status = 'active' OR status = 'new'": "(u.`status` = 'active' OR u.`status` = 'new')" +
			" AND u.`deleted_at` IS NULL",
		"status = 'active' OR deleted_at IS NULL": "u.`status` = 'active' OR u.`deleted_at` IS NULL",
		"none": "",
	} {
		g := &Graph{user: user}
		require.NoError(t, g.makeRule(asked))
		assert.Equal(t, want, g.Rule)
		assert.Empty(t, g.undecided)
	}
}
