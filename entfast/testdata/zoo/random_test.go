package zoo

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/zoo/ent"
	"example.com/zoo/ent/animal"
	"example.com/zoo/ent/chip"
	"example.com/zoo/ent/ghost"
	"example.com/zoo/ent/intercept"
	"example.com/zoo/ent/keeper"
	"example.com/zoo/ent/pen"
	"example.com/zoo/ent/tag"
	"example.com/zoo/ent/vault"
	"example.com/zoo/kind"
)

// step does something to a query, by a number that was drawn.
type step[Q any] struct {
	name string
	do   func(q Q, n int)
}

// query is what the queries of all entities have in common.
type query[Q, E any] interface {
	All(context.Context) ([]E, error)
	First(context.Context) (E, error)
	Only(context.Context) (E, error)
	Count(context.Context) (int, error)
	Exist(context.Context) (bool, error)
	Limit(int) Q
	Offset(int) Q
	Unique(bool) Q
}

// compare draws a query, asks it as it is and as one with a modifier that does nothing, which is left to Ent, and holds
// the answers against each other.
func compare[Q query[Q, E], E any](rt *rapid.T, z *zoo, ctx context.Context, build func() Q, steps []step[Q],
	modify func(Q)) {
	type drawn struct{ step, n int }
	var all []drawn
	var names []string
	for range rapid.IntRange(0, 5).Draw(rt, "steps") {
		d := drawn{rapid.IntRange(0, len(steps)-1).Draw(rt, "step"), rapid.IntRange(0, 9).Draw(rt, "n")}
		all = append(all, d)
		names = append(names, fmt.Sprintf("%s(%d)", steps[d.step].name, d.n))
	}
	end := rapid.SampledFrom([]string{"Only", "First", "Only", "First", "All", "Limit1", "Limit2", "Limit3", "Offset",
		"Unique", "Count", "Exist", "Twice"}).Draw(rt, "end")
	ask := func(left bool) (string, int64) {
		q := build()
		for _, d := range all {
			steps[d.step].do(q, d.n)
		}
		if left {
			modify(q)
		}
		before := z.n.Load()
		var text string
		switch end {
		case "Only":
			text = answer(q.Only(ctx))
		case "First":
			text = answer(q.First(ctx))
		case "All":
			text = answer(q.All(ctx))
		case "Limit1":
			text = answer(q.Limit(1).All(ctx))
		case "Limit2":
			text = answer(q.Limit(2).All(ctx))
		case "Limit3":
			text = answer(q.Limit(3).All(ctx))
		case "Offset":
			text = answer(q.Limit(2).Offset(1).All(ctx))
		case "Unique":
			text = answer(q.Unique(true).Limit(2).All(ctx))
		case "Count":
			text = answer(q.Count(ctx))
		case "Exist":
			text = answer(q.Exist(ctx))
		case "Twice":
			text = answer(q.First(ctx)) + answer(q.First(ctx))
		}
		return text, z.n.Load() - before
	}
	ents, most := ask(true)
	ours, n := ask(false)
	what := strings.Join(append(names, end), ".")
	if ours != ents {
		rt.Fatalf("%s\nours %s\nEnt's %s\n%v", what, ours, ents, z.last.Load())
	}
	if n > most {
		rt.Fatalf("%s: %d statements, and %d by Ent", what, n, most)
	}
}

func keeperSteps() []step[*ent.KeeperQuery] {
	type q = *ent.KeeperQuery
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []step[q]{
		{"name", func(q q, n int) { q.Where(keeper.Name(names[n%5])) }},
		{"nameNEQ", func(q q, n int) { q.Where(keeper.NameNEQ(names[n%5])) }},
		{"nameIn", func(q q, n int) { q.Where(keeper.NameIn(names[:n%5]...)) }},
		{"nameHasPrefix", func(q q, n int) { q.Where(keeper.NameHasPrefix("a")) }},
		{"nameFold", func(q q, n int) { q.Where(keeper.NameEqualFold("ADA")) }},
		{"id", func(q q, n int) { q.Where(keeper.ID(n)) }},
		{"idGT", func(q q, n int) { q.Where(keeper.IDGT(n % 5)) }},
		{"idIn", func(q q, n int) { q.Where(keeper.IDIn(n, n+1)) }},
		{"n", func(q q, n int) { q.Where(keeper.N(n)) }},
		{"nLTE", func(q q, n int) { q.Where(keeper.NLTE(n)) }},
		{"code", func(q q, n int) { q.Where(keeper.CodeEQ("c")) }},
		{"note", func(q q, n int) { q.Where(keeper.Note(kind.Note{Text: []string{"note", ""}[n%2]})) }},
		{"rank", func(q q, n int) { q.Where(keeper.RankEQ([]keeper.Rank{keeper.RankHigh, keeper.RankLow}[n%2])) }},
		{"active", func(q q, n int) { q.Where(keeper.Active(n%2 == 0)) }},
		{"activeNEQ", func(q q, n int) { q.Where(keeper.ActiveNEQ(n%2 == 0)) }},
		{"level", func(q q, n int) { q.Where(keeper.LevelGTE(kind.Level(n))) }},
		{"u64", func(q q, n int) { q.Where(keeper.U64LT(1 << (35 + n))) }},
		{"weight", func(q q, n int) { q.Where(keeper.WeightLT(float64(n) / 4)) }},
		{"born", func(q q, n int) { q.Where(keeper.BornLTE(at)) }},
		{"photo", func(q q, n int) { q.Where(keeper.Photo([]byte("photo"))) }},
		{"token", func(q q, n int) { q.Where(keeper.Token(id(n))) }},
		{"titleIsNil", func(q q, n int) { q.Where(keeper.TitleIsNil()) }},
		{"titleNotNil", func(q q, n int) { q.Where(keeper.TitleNotNil()) }},
		{"not", func(q q, n int) { q.Where(keeper.Not(keeper.N(n))) }},
		{"or", func(q q, n int) { q.Where(keeper.Or(keeper.N(n), keeper.N(n+1))) }},
		{"and", func(q q, n int) { q.Where(keeper.And(keeper.NGT(0), keeper.ID(n))) }},
		{"hasAnimals", func(q q, n int) { q.Where(keeper.HasAnimalsWith(animal.Tame(n%2 == 0))) }},
		{"raw", func(q q, n int) { q.Where(func(s *entsql.Selector) { s.Where(entsql.LT("n", n)) }) }},
		{"select", func(q q, n int) { q.Select(keeper.FieldName, keeper.FieldN) }},
		{"order", func(q q, n int) { q.Order(keeper.ByN(entsql.OrderDesc())) }},
		{"lock", func(q q, n int) { q.Modify(func(*entsql.Selector) {}) }},
		{"withDeputy", func(q q, n int) { q.WithDeputy() }},
		{"withDeputy", func(q q, n int) { q.WithDeputy() }},
		{"withFriends", func(q q, n int) { q.WithFriends() }},
		{"withAnimals", func(q q, n int) { q.WithAnimals(func(q *ent.AnimalQuery) { q.Order(animal.ByID()) }) }},
		{"withNamedAnimals", func(q q, n int) {
			q.WithNamedAnimals("a", func(q *ent.AnimalQuery) { q.Order(animal.ByID()) })
		}},
	}
}

func animalSteps() []step[*ent.AnimalQuery] {
	type q = *ent.AnimalQuery
	return []step[q]{
		{"id", func(q q, n int) { q.Where(animal.ID(id(n))) }},
		{"id", func(q q, n int) { q.Where(animal.ID(id(n))) }},
		{"idIn", func(q q, n int) { q.Where(animal.IDIn(id(n), id(n+1))) }},
		{"name", func(q q, n int) { q.Where(animal.Name(names[n%5])) }},
		{"age", func(q q, n int) { q.Where(animal.AgeGTE(n % 3)) }},
		{"tame", func(q q, n int) { q.Where(animal.Tame(n%2 == 0)) }},
		{"keeper", func(q q, n int) { q.Where(animal.KeeperID(n)) }},
		{"keeperIsNil", func(q q, n int) { q.Where(animal.KeeperIDIsNil()) }},
		{"hasKeeper", func(q q, n int) { q.Where(animal.HasKeeperWith(keeper.NGT(n % 3))) }},
		{"hasTag", func(q q, n int) { q.Where(animal.HasTag()) }},
		{"not", func(q q, n int) { q.Where(animal.Not(animal.Age(n % 3))) }},
		{"select", func(q q, n int) { q.Select(animal.FieldName) }},
		{"order", func(q q, n int) { q.Order(animal.ByAge(), animal.ByID()) }},
		{"withKeeper", func(q q, n int) { q.WithKeeper() }},
		{"withKeeper", func(q q, n int) { q.WithKeeper() }},
		{"withKeeperFiltered", func(q q, n int) { q.WithKeeper(func(q *ent.KeeperQuery) { q.Where(keeper.N(n)) }) }},
		{"withKeeperSelected", func(q q, n int) {
			q.WithKeeper(func(q *ent.KeeperQuery) { q.Select(keeper.FieldName) })
		}},
		{"withKeepersDeputy", func(q q, n int) { q.WithKeeper(func(q *ent.KeeperQuery) { q.WithDeputy() }) }},
		{"withSponsor", func(q q, n int) { q.WithSponsor() }},
		{"withPen", func(q q, n int) { q.WithPen() }},
		{"withPenModified", func(q q, n int) {
			q.WithPen(func(q *ent.PenQuery) { q.Modify(func(*entsql.Selector) {}) })
		}},
		{"withMate", func(q q, n int) { q.WithMate() }},
		{"withMother", func(q q, n int) { q.WithMother() }},
		{"withChildren", func(q q, n int) { q.WithChildren(func(q *ent.AnimalQuery) { q.Order(animal.ByID()) }) }},
		{"withTag", func(q q, n int) { q.WithTag() }},
		{"withTagsAnimal", func(q q, n int) { q.WithTag(func(q *ent.TagQuery) { q.WithAnimal() }) }},
		{"withChip", func(q q, n int) { q.WithChip() }},
		{"withGhost", func(q q, n int) { q.WithGhost() }},
		{"withGhost", func(q q, n int) { q.WithGhost() }},
		{"withVault", func(q q, n int) { q.WithVault() }},
	}
}

func TestEveryQueryIsAnsweredAsByEnt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, z *zoo) {
		z.Ghost.Intercept(intercept.TraverseGhost(func(_ context.Context, q *ent.GhostQuery) error {
			q.Where(ghost.Hidden(false))
			return nil
		}))
		rapid.Check(t, func(rt *rapid.T) {
			ctx := t.Context()
			if rapid.Bool().Draw(rt, "key") {
				ctx = context.WithValue(ctx, kind.Key{}, true)
			}
			c := z.Client
			switch rapid.IntRange(0, 3).Draw(rt, "client") {
			case 0:
				tx, err := z.Client.Tx(ctx)
				require.NoError(t, err)
				defer tx.Rollback()
				c = tx.Client()
			case 1:
				c = ent.NewClient(ent.Driver(z.counter), ent.Debug(), ent.Log(func(...any) {}))
			}
			nothing := func(*entsql.Selector) {}
			switch rapid.IntRange(0, 9).Draw(rt, "entity") {
			case 0, 1:
				compare(rt, z, ctx, c.Keeper.Query, keeperSteps(), func(q *ent.KeeperQuery) { q.Modify(nothing) })
			case 2, 3, 4, 5:
				compare(rt, z, ctx, c.Animal.Query, animalSteps(), func(q *ent.AnimalQuery) { q.Modify(nothing) })
			case 6:
				compare(rt, z, ctx, c.Tag.Query, []step[*ent.TagQuery]{
					{"id", func(q *ent.TagQuery, n int) { q.Where(tag.ID(int64(100 + n))) }},
					{"text", func(q *ent.TagQuery, _ int) { q.Where(tag.Text("tag")) }},
					{"withAnimal", func(q *ent.TagQuery, _ int) { q.WithAnimal() }},
				}, func(q *ent.TagQuery) { q.Modify(nothing) })
			case 7:
				compare(rt, z, ctx, c.Chip.Query, []step[*ent.ChipQuery]{
					{"serial", func(q *ent.ChipQuery, n int) { q.Where(chip.Serial(uint64(n))) }},
					{"hasAnimal", func(q *ent.ChipQuery, _ int) { q.Where(chip.HasAnimal()) }},
					{"withAnimal", func(q *ent.ChipQuery, _ int) { q.WithAnimal() }},
				}, func(q *ent.ChipQuery) { q.Modify(nothing) })
			case 8: // with interceptors
				compare(rt, z, ctx, c.Ghost.Query, []step[*ent.GhostQuery]{
					{"id", func(q *ent.GhostQuery, n int) { q.Where(ghost.ID(n % 3)) }},
					{"hidden", func(q *ent.GhostQuery, n int) { q.Where(ghost.Hidden(n%2 == 0)) }},
				}, func(q *ent.GhostQuery) { q.Modify(nothing) })
			case 9: // with a policy
				compare(rt, z, ctx, c.Vault.Query, []step[*ent.VaultQuery]{
					{"id", func(q *ent.VaultQuery, n int) { q.Where(vault.ID(n % 2)) }},
				}, func(q *ent.VaultQuery) { q.Modify(nothing) })
			}
		})
	})
}

// A traversal, a lock and a group are left to Ent, and answered all the same.
func TestWhatIsNoPlainQueryIsLeftToEnt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, z *zoo) {
		ctx := t.Context()
		a := z.Animal.GetX(ctx, id(4))
		require.Equal(t, 2, a.QueryKeeper().OnlyX(ctx).N)
		require.Equal(t, "south", a.QueryPen().Where(pen.AreaGT(1)).OnlyX(ctx).ID)
		require.Equal(t, 2, z.Keeper.Query().Where(keeper.ID(2)).QueryDeputy().QueryDeputy().OnlyX(ctx).ID)
		if z.counter.Dialect() == dialect.MySQL {
			tx, err := z.Client.Tx(ctx)
			require.NoError(t, err)
			defer tx.Rollback()
			tx.Animal.Query().Where(animal.ID(id(4))).WithPen().ForUpdate().OnlyX(ctx)
			require.NotContains(t, z.last.Load(), "JOIN")
		}
	})
}
