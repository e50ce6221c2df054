package entfast

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"entgo.io/ent/entc/gen"
	"entgo.io/ent/entc/load"
	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// graph is of the entity Pet, whose file of queries has the text.
func graph(t *testing.T, text string) *gen.Graph {
	t.Helper()
	target := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(target, "pet_query.go"), []byte(text), 0o644))
	storage, err := gen.NewStorage("sql")
	require.NoError(t, err)
	g, err := gen.NewGraph(&gen.Config{
		Package: "example.com/ent", Target: target, Storage: storage, IDType: &field.TypeInfo{Type: field.TypeInt},
	}, &load.Schema{Name: "Pet", Fields: []*load.Field{{Name: "name", Info: &field.TypeInfo{Type: field.TypeString}}}})
	require.NoError(t, err)
	return g
}

// generate runs the hook of the extension after a generator that has written the file.
func generate(t *testing.T, g *gen.Graph) error {
	t.Helper()
	return New().Hooks()[0](gen.GenerateFunc(func(*gen.Graph) error { return nil })).Generate(g)
}

const petQuery = `package ent

type PetQuery struct {
	config
	ctx        *QueryContext
	predicates []predicate.Pet
}

func (pq *PetQuery) sqlAll(ctx context.Context, hooks ...queryHook) ([]*Pet, error) {
	for i := range hooks {
		hooks[i](ctx, _spec)
	}
	return nodes, nil
}
`

func TestAQueryIsPatchedByTheNamesThatItHas(t *testing.T) {
	t.Parallel()
	g := graph(t, petQuery)
	require.NoError(t, generate(t, g))
	text, err := os.ReadFile(filepath.Join(g.Target, "pet_query.go"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "([]*Pet, error) {\n\tif nodes, done, err := pq.fastAll(ctx, hooks); done {\n"+
		"\t\treturn nodes, err\n\t}\n\tfor i := range hooks {\n")
	text, err = os.ReadFile(filepath.Join(g.Target, file))
	require.NoError(t, err)
	assert.Contains(t, string(text), "(*fast.String)(&n.Name),\n")
}

func TestAQueryThatDoesMoreIsLeftToEnt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"a statement": {"\treturn nodes, nil\n", "\tnotify(nodes)\n\treturn nodes, nil\n"},
		"a field":     {"\tconfig\n", "\tconfig\n\tcache cache.Cache\n"},
	} {
		text := strings.Replace(petQuery, change[0], change[1], 1)
		g := graph(t, text)
		require.NoError(t, generate(t, g), name)
		now, err := os.ReadFile(filepath.Join(g.Target, "pet_query.go"))
		require.NoError(t, err)
		assert.Equal(t, text, string(now), name)
		assert.NoFileExists(t, filepath.Join(g.Target, file), name)
	}
}

func TestAnotherReleaseOfEntFailsTheGeneration(t *testing.T) {
	t.Parallel()
	g := graph(t, strings.Replace(petQuery, "sqlAll", "queryAll", 1))
	path := filepath.Join(g.Target, file)
	require.NoError(t, os.WriteFile(path, []byte("package ent\n"), 0o644))
	err := generate(t, g)
	require.EqualError(t, err, "entfast: "+filepath.Join(g.Target, "pet_query.go")+" has no method sqlAll(context, "+
		"hooks...) of PetQuery: this release of Ent generates other code; use Ent v0.14.6, or take entfast.New() "+
		"out of the generator")
	assert.NoFileExists(t, path, "the client compiles without it")
}

func TestAnotherStorageIsRefused(t *testing.T) {
	t.Parallel()
	g := graph(t, petQuery)
	storage, err := gen.NewStorage("gremlin")
	require.NoError(t, err)
	g.Storage = storage
	require.EqualError(t, generate(t, g), "entfast: the storage is gremlin: take entfast.New() out, it is for sql")
}
