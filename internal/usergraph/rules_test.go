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

func TestTheNamesInASubqueryOfARuleStayAsTheyAre(t *testing.T) {
	t.Parallel()
	user := &entgraph.Entity{Name: "Member", Table: "members", ID: &entgraph.Field{Name: "id", Column: "id"}}
	user.Fields = []*entgraph.Field{
		{Name: "active", Column: "active", Type: "bool"},
		{Name: "team", Column: "team", Type: "int"},
	}
	for asked, want := range map[string]string{
		"team IN (SELECT id FROM teams WHERE active) AND (active)": "u.`team` IN (SELECT id FROM teams WHERE active)" +
			" AND (u.`active`)",
		"active AND NOT EXISTS (SELECT 1 FROM bans WHERE (id > 0) AND member = u.id)": "u.`active` AND NOT EXISTS" +
			" (SELECT 1 FROM bans WHERE (id > 0) AND member = u.`id`)",
		"active AND team > 1.5": "u.`active` AND u.`team` > 1.5",
	} {
		g := &Graph{user: user}
		require.NoError(t, g.makeRule(asked))
		assert.Equal(t, want, g.Rule)
	}
}

func TestWhoeverTheirCodeDeletedIsKeptOutThoughTheTimeIsMapped(t *testing.T) {
	t.Parallel()
	user := &entgraph.Entity{Name: "Member", Table: "members", ID: &entgraph.Field{Name: "id", Column: "id"}}
	user.Fields = []*entgraph.Field{
		{Name: "removed", Column: "deleted_at", Type: "time", Optional: true},
		{Name: "gone", Column: "is_gone", Type: "bool"},
	}
	for name, c := range map[string]struct {
		deleted Column
		want    string
	}{
		"beside a column that is added": {
			Column{"is_deleted", Added, "is_deleted", ""}, "(u.`deleted_at` IS NULL OR u.`is_deleted` <> 0)",
		},
		"beside one of theirs": {
			Column{"is_deleted", Theirs, "gone", ""}, "(u.`deleted_at` IS NULL OR u.`is_gone` <> 0)",
		},
		"alone": {Column{"is_deleted", Absent, "", ""}, "u.`deleted_at` IS NULL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &Graph{user: user, Mapping: Mapping{
				Columns: []Column{{"deleted_at", Theirs, "removed", ""}, c.deleted},
			}}
			require.NoError(t, g.makeRule(""))
			assert.Equal(t, c.want, g.Rule)
		})
	}
}

func TestTheTableOfAnUndecidedRuleLetsNobodyIn(t *testing.T) {
	t.Parallel()
	g, err := New(schema(entity("Member", plain("status", "string"))), Options{})
	require.NoError(t, err)
	assert.Contains(t, g.Table(), "\nmay sign in: not decided yet, for status\n")
	g, err = New(schema(entity("Member", plain("status", "string"))), Options{Rule: "none"})
	require.NoError(t, err)
	assert.Contains(t, g.Table(), "\nmay sign in: everybody\n")
}

func TestARuleThatEachDatabaseReadsItsWayIsRefused(t *testing.T) {
	t.Parallel()
	user := &entgraph.Entity{Name: "Member", Table: "members", ID: &entgraph.Field{Name: "id", Column: "id"}}
	user.Fields = []*entgraph.Field{{Name: "status", Column: "status", Type: "string"}}
	for asked, want := range map[string]string{
		`status = 'a\'`:                     `the rule has a \ in it, which MySQL and SQLite read each in its own way`,
		"status = ?":                        "the rule has ? in it",
		"u.nope = 1 AND status = 'a'":       "the rule asks u.nope, which members does not have",
		"menu.status = 'a'":                 "the rule asks no column of members",
		"status = 'a'; DROP TABLE members":  "the rule has ; in it",
		"status = 'a' UNION SELECT 1":       "the rule has UNION outside of a subquery",
		"status IN (SELECT 'a') ORDER BY 1": "the rule has ORDER outside of a subquery",
		"(status = 'a' limit 1)":            "the rule has LIMIT outside of a subquery",
		"SELECT status":                     "the rule has SELECT outside of a subquery",
	} {
		assert.ErrorContains(t, (&Graph{user: user}).makeRule(asked), want+": ", asked)
	}
	require.NoError(t, (&Graph{user: user}).makeRule("(u.status = 'why?') AND 1 < u.id"))
}
