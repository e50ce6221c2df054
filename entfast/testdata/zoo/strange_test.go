package zoo

import (
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/zoo/ent"
	"example.com/zoo/ent/cage"
)

// The database compares keys otherwise than Go, and has lost an index that is unique.
func TestAStrangeDatabaseIsAnsweredAsByEnt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, z *zoo) {
		ctx := t.Context()
		z.Brand.Create().SetID("acme").SetYear(1).SaveX(ctx)
		first := z.Cage.Create().SetSize(1).SetBrandID("acme").SaveX(ctx)
		second := z.Cage.Create().SetSize(1).SetBrandID("acme").SetPrevious(first).SaveX(ctx)
		z.Cage.Create().SetSize(2).SetPrevious(second).SaveX(ctx)
		lock := z.Lock.Create().SetPins(1).SetCage(first).SaveX(ctx)
		z.Lock.Create().SetPins(2).SetCage(second).SetSpare(lock).SaveX(ctx)
		if z.counter.Dialect() == dialect.MySQL {
			for _, text := range []string{
				"ALTER TABLE t1 DROP FOREIGN KEY t1_brands_brand",
				"ALTER TABLE t1 MODIFY brand_id varchar(40) COLLATE utf8mb4_general_ci",
				"ALTER TABLE brands MODIFY id varchar(40) COLLATE utf8mb4_general_ci",
				"UPDATE t1 SET brand_id = 'ACME' WHERE id = 2",
				"ALTER TABLE locks ADD INDEX plain (cage_id), DROP INDEX cage_id",
				"INSERT INTO locks (pins, cage_id) VALUES (3, 1)",
			} {
				require.NoError(t, z.counter.Exec(ctx, text, []any{}, nil), text)
			}
		}
		for name, with := range map[string]func(*ent.CageQuery){
			"nothing":  func(*ent.CageQuery) {},
			"brand":    func(q *ent.CageQuery) { q.WithBrand() },
			"next":     func(q *ent.CageQuery) { q.WithNext() },
			"previous": func(q *ent.CageQuery) { q.WithPrevious() },
			"lock":     func(q *ent.CageQuery) { q.WithLock() },
			"all":      func(q *ent.CageQuery) { q.WithBrand().WithNext().WithPrevious().WithLock() },
		} {
			for end, ask := range map[string]func(q *ent.CageQuery) string{
				"the first":  func(q *ent.CageQuery) string { return answer(q.Where(cage.ID(2)).First(ctx)) },
				"the only":   func(q *ent.CageQuery) string { return answer(q.Where(cage.ID(1)).Only(ctx)) },
				"one of two": func(q *ent.CageQuery) string { return answer(q.Where(cage.Size(1)).Only(ctx)) },
				"two":        func(q *ent.CageQuery) string { return answer(q.Where(cage.Size(1)).Limit(2).All(ctx)) },
				"no brand":   func(q *ent.CageQuery) string { return answer(q.Where(cage.Size(2)).Only(ctx)) },
			} {
				ours, ents := z.Cage.Query(), z.Cage.Query().Modify(func(*entsql.Selector) {}).CageQuery
				with(ours)
				with(ents)
				assert.Equal(t, ask(ents), ask(ours), "%s with %s", end, name)
			}
		}
	})
}
