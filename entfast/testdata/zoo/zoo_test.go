package zoo

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	_ "github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"example.com/zoo/ent"
	"example.com/zoo/ent/animal"
	"example.com/zoo/ent/keeper"
	_ "example.com/zoo/ent/runtime"
	"example.com/zoo/kind"
)

// counter counts the statements of queries.
type counter struct {
	dialect.Driver
	n    atomic.Int64
	last atomic.Value
}

func (c *counter) Query(ctx context.Context, query string, args, v any) error {
	c.n.Add(1)
	c.last.Store(query)
	return c.Driver.Query(ctx, query, args, v)
}

func (c *counter) Tx(ctx context.Context) (dialect.Tx, error) {
	tx, err := c.Driver.Tx(ctx)
	return &countedTx{tx, c}, err
}

type countedTx struct {
	dialect.Tx
	c *counter
}

func (t *countedTx) Query(ctx context.Context, query string, args, v any) error {
	t.c.n.Add(1)
	t.c.last.Store(query)
	return t.Tx.Query(ctx, query, args, v)
}

// zoo is a client of one database with the same rows as any other.
type zoo struct {
	*ent.Client
	*counter
}

// each runs a test on each database that the environment names.
func each(t *testing.T, test func(t *testing.T, z *zoo)) {
	for _, name := range []string{"mysql", "mariadb", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, name))
		})
	}
}

// made has the databases that have rows already.
var made sync.Map

func open(t *testing.T, name string) *zoo {
	driver, language := "mysql", dialect.MySQL
	if name == "sqlite" {
		driver, language = "sqlite", dialect.SQLite
	}
	source := os.Getenv("ZOO_" + strings.ToUpper(name))
	require.NotEmpty(t, source)
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	c := &counter{Driver: entsql.OpenDB(language, db)}
	z := &zoo{ent.NewClient(ent.Driver(c)), c}
	once, _ := made.LoadOrStore(name, sync.OnceFunc(func() { fill(t, z.Client) }))
	once.(func())()
	return z
}

func id(n int) uuid.UUID { return uuid.UUID{15: byte(n)} }

// names are few, so that predicates find one, some or none.
var names = []string{"ada", "bob", "cyd", "Ada", ""}

// creating is held while tables are made: Ent keeps their names in one place for all.
var creating sync.Mutex

func fill(t *testing.T, c *ent.Client) {
	ctx := context.WithValue(t.Context(), kind.Key{}, true)
	creating.Lock()
	err := c.Schema.Create(ctx)
	creating.Unlock()
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := 1; i <= 4; i++ {
		k := c.Keeper.Create().SetName(names[i%2]).SetN(i).SetBorn(at).SetToken(id(i)).SetActive(i%2 == 0).
			SetPath(kind.Path{"a", "b"}).SetRank(keeper.RankHigh).SetU64(1 << 40).SetWeight(float64(i) / 4)
		if i%2 == 0 {
			k.SetNick("nick").SetTitle("title").SetOtherCode("o").SetNote(kind.Note{Text: "note"}).SetMaybe(i).
				SetOtherNote(kind.Note{Text: "other"}).SetOtherRank(keeper.OtherRankLow).SetFlag(true).SetM16(7).
				SetOtherFlag(true).SetM8(-3).SetM32(9).SetM64(-1 << 40).SetOtherWeight(0.5).SetLeft(at).SetBack(at).
				SetPhoto([]byte("photo")).SetOtherPhoto([]byte{0, 1}).SetSize(kind.Size{Height: 1, Width: 2}).
				SetSizes(map[string]*kind.Size{"a": {Height: 3}, "b": nil}).SetTags([]string{"x", "y"}).
				SetMaybeToken(id(40 + i)).SetOtherToken(id(50 + i)).SetDeputyID(i - 1).AddFriendIDs(1).SetGone("gone")
		}
		k.SaveX(ctx)
	}
	c.Pen.Create().SetID("north").SetArea(10).SaveX(ctx)
	c.Pen.Create().SetID("south").SetArea(20).SaveX(ctx)
	seen := c.Ghost.Create().SetName("seen").SaveX(ctx)
	hidden := c.Ghost.Create().SetName("hidden").SetHidden(true).SaveX(ctx)
	vault := c.Vault.Create().SetName("vault").SaveX(ctx)
	for i := 1; i <= 8; i++ {
		a := c.Animal.Create().SetID(id(i)).SetName(names[i%len(names)]).SetAge(i % 3).SetTame(i%2 == 0)
		if i%3 != 0 {
			a.SetGhost(hidden)
		}
		if i%2 == 0 {
			a.SetKeeperID(i / 2).SetPenID("north").SetFoods([]string{"hay"}).SetVault(vault)
		}
		if i%3 == 0 {
			a.SetSponsorID(i / 3).SetMotherID(id(1)).SetGhost(seen)
		}
		if i == 4 {
			a.SetMateID(id(2)).SetPenID("south")
		}
		a.SaveX(ctx)
		if i%2 == 0 {
			c.Tag.Create().SetID(int64(100 + i)).SetText("tag").SetAnimalID(id(i)).SaveX(ctx)
		}
		chip := c.Chip.Create().SetSerial(uint64(i))
		if i%4 == 0 {
			chip.SetAnimalID(id(i))
		}
		chip.SaveX(ctx)
	}
}

// describe writes all that a value holds, unexported fields and which pointers are the same too; but the client.
func describe(v any) string {
	var b strings.Builder
	seen := map[uintptr]int{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				b.WriteString("nil")
				return
			}
			n, ok := seen[v.Pointer()]
			if !ok {
				n = len(seen)
				seen[v.Pointer()] = n
			}
			// Values of a size of 0 may all be at one place.
			fmt.Fprintf(&b, "&%d", n)
			if !ok {
				walk(v.Elem())
			}
		case reflect.Interface:
			if v.IsNil() {
				b.WriteString("nil")
				return
			}
			b.WriteString(v.Elem().Type().String() + " ")
			walk(v.Elem())
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				fmt.Fprintf(&b, "%v %v", v.Field(0), v.Field(1))
				return
			}
			b.WriteString(v.Type().Name() + "{")
			for i := range v.NumField() {
				if name := v.Type().Field(i).Name; name != "config" {
					b.WriteString(name + ":")
					walk(v.Field(i))
					b.WriteString(" ")
				}
			}
			b.WriteString("}")
		case reflect.Slice, reflect.Array:
			if v.Kind() == reflect.Slice && v.IsNil() {
				b.WriteString("nil")
				return
			}
			b.WriteString("[")
			for i := range v.Len() {
				walk(v.Index(i))
				b.WriteString(" ")
			}
			b.WriteString("]")
		case reflect.Map:
			if v.IsNil() {
				b.WriteString("nil")
				return
			}
			fmt.Fprintf(&b, "map %d[", v.Len())
			for _, key := range []string{"a", "b"} { // all that this zoo has
				if e := v.MapIndex(reflect.ValueOf(key)); e.IsValid() {
					b.WriteString(key + ":")
					walk(e)
				}
			}
			b.WriteString("]")
		default:
			fmt.Fprintf(&b, "%v", v)
		}
	}
	walk(reflect.ValueOf(v))
	return b.String()
}

// answer is what a query gave.
func answer[T any](v T, err error) string {
	if err != nil {
		return fmt.Sprintf("%T %v", err, err)
	}
	return describe(v)
}

// Each form is asked twice: as it is, and with a modifier that does nothing, which leaves it to Ent.
func TestTheStatementsOfEachFormArePinned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, z *zoo) {
		ctx := context.WithValue(t.Context(), kind.Key{}, true)
		animals := func() *ent.AnimalQuery { return z.Animal.Query() }
		for _, f := range []struct {
			name       string
			ours, ents int64
			query      func() *ent.AnimalQuery
		}{
			{"no predicate", 1, 1, animals},
			{"a predicate", 1, 1, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))) }},
			{"an edge with a field", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithKeeper() }},
			{"an edge without", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithPen() }},
			{"one to itself", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(3))).WithMother() }},
			{"one both ways", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithMate() }},
			{"one whose key is there", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithTag() }},
			{"one that may lack it", 1, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithChip() }},
			{"five of them", 1, 6, func() *ent.AnimalQuery {
				return animals().Where(animal.ID(id(4))).WithKeeper().WithPen().WithMate().WithTag().WithChip()
			}},
			{"one that is null", 1, 1, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(1))).WithKeeper() }},
			{"one that is null and no pointer", 2, 2, func() *ent.AnimalQuery {
				return animals().Where(animal.ID(id(1))).WithSponsor()
			}},
			{"one of many", 2, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(1))).WithChildren() }},
			{"one with an interceptor", 2, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(3))).WithGhost() }},
			{"one with a policy", 2, 2, func() *ent.AnimalQuery { return animals().Where(animal.ID(id(4))).WithVault() }},
			{"a filter on it", 2, 2, func() *ent.AnimalQuery {
				return animals().Where(animal.ID(id(4))).WithKeeper(func(q *ent.KeeperQuery) { q.Where(keeper.N(2)) })
			}},
			{"an edge of it", 3, 3, func() *ent.AnimalQuery {
				return animals().Where(animal.ID(id(4))).WithKeeper(func(q *ent.KeeperQuery) { q.WithDeputy() })
			}},
			{"a predicate on an edge", 2, 2, func() *ent.AnimalQuery {
				return animals().Where(animal.HasKeeperWith(keeper.N(2))).WithKeeper()
			}},
			{"an order", 2, 2, func() *ent.AnimalQuery {
				return animals().Where(animal.ID(id(4))).Order(animal.ByAge()).WithKeeper()
			}},
		} {
			ask := func(modify bool) (string, int64) {
				q := f.query()
				if modify {
					q.Modify(func(*entsql.Selector) {})
				}
				before := z.n.Load()
				a, err := q.First(ctx)
				return answer(a, err), z.n.Load() - before
			}
			ents, n := ask(true)
			assert.Equal(t, f.ents, n, "%s, by Ent", f.name)
			for range 2 {
				ours, n := ask(false)
				assert.Equal(t, ents, ours, f.name)
				assert.Equal(t, f.ours, n, f.name)
			}
		}
	})
}
