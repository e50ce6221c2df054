package adopt_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/drizzletest"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// drizzle is a project with drizzle-kit and drizzle-orm in it.
type drizzle struct{ folder string }

// newDrizzle copies the project of testdata and links the packages it names,
// which are installed once for all and outside the checkout.
func newDrizzle(t testing.TB) drizzle {
	t.Helper()
	return drizzle{drizzletest.Copy(t)}
}

// run runs node with a program of the project and returns what it printed.
func (d drizzle) run(t testing.TB, url string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir = d.folder
	cmd.Env = append(os.Environ(), "DATABASE_URL="+strings.Replace(url, "mariadb:", "mysql:", 1))
	if strings.HasPrefix(url, "mariadb") {
		cmd.Env = append(cmd.Env, "WITHOUT_LATERAL=1")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (d drizzle) kit(t testing.TB, url string, args ...string) (string, error) {
	t.Helper()
	return d.run(t, url, append([]string{"node_modules/drizzle-kit/bin.cjs"}, args...)...)
}

// client runs what a service does with the tables, and prints what it saw.
func (d drizzle) client(t testing.TB, url, name string) string {
	t.Helper()
	out, err := d.run(t, url, "--import", "tsx", "client.ts", name)
	require.NoError(t, err, out)
	return out
}

func (d drizzle) replace(t testing.TB, file, old, new string) {
	t.Helper()
	path := filepath.Join(d.folder, filepath.FromSlash(file))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(b), old), "%s in %s", old, file)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), old, new, 1)), 0o644))
}

func (d drizzle) generated(t testing.TB) string {
	t.Helper()
	out, err := d.kit(t, "mysql://unused", "generate", "--name", "seed")
	require.NoError(t, err, out)
	b, err := os.ReadFile(filepath.Join(d.folder, "migrations", "0000_seed.sql"))
	require.NoError(t, err)
	return string(b)
}

// indexed are the parts of the columns that an index has, where it is there.
func indexed(t testing.TB, url, index string) []string {
	t.Helper()
	return mysqltest.Column(t, mysqltest.DB(t, url), "SELECT COALESCE(SUB_PART, '') "+
		"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = ?", index)
}

// The ways in which drizzle-kit makes, or half makes, the tables.
var drizzleWays = []struct {
	name, engine string
	make         func(t testing.TB, d drizzle, url string)
}{
	{"half migrated after error 1170", "mysql", func(t testing.TB, d drizzle, url string) {
		d.generated(t)
		out, err := d.kit(t, url, "migrate")
		require.Error(t, err, out)
		require.Empty(t, indexed(t, url, "email_type_idx"))
	}},
	{"half pushed", "mysql", func(t testing.TB, d drizzle, url string) {
		d.replace(t, "drizzle.config.ts", "strict: true", "strict: false")
		_, _ = d.kit(t, url, "push", "--force") // it may tell success where it failed
		require.Empty(t, indexed(t, url, "token_hash_idx"))
	}},
	{"without the index", "mysql", func(t testing.TB, d drizzle, url string) {
		d.replace(t, "src/schemas/refresh-token.ts", `    index("token_hash_idx").on(t.tokenHash),`, "")
		d.migrated(t, url)
	}},
	{"with a varchar", "mysql", func(t testing.TB, d drizzle, url string) {
		d.replace(t, "src/schemas/refresh-token.ts", `text("token_hash")`, `varchar("token_hash", { length: 512 })`)
		d.migrated(t, url)
	}},
	{"whole, with a silent prefix", "mariadb", func(t testing.TB, d drizzle, url string) {
		d.migrated(t, url)
		parts := indexed(t, url, "token_hash_idx")
		require.Len(t, parts, 1)
		require.NotEmpty(t, parts[0])
	}},
}

func (d drizzle) migrated(t testing.TB, url string) {
	t.Helper()
	d.generated(t)
	out, err := d.kit(t, url, "migrate")
	require.NoError(t, err, out)
}

func TestDrizzleGoesOnUnchangedAfterTheAdoptionOfItsDatabase(t *testing.T) {
	t.Parallel()
	drizzletest.LeaveOut(t)
	for _, way := range drizzleWays {
		t.Run(way.engine+", "+way.name, func(t *testing.T) {
			t.Parallel()
			url := map[string]func(testing.TB) string{
				"mysql": mysqltest.MySQL, "mariadb": mysqltest.MariaDB,
			}[way.engine](t)
			d := newDrizzle(t)
			way.make(t, d, url)
			d.client(t, url, "before")
			d.client(t, url, "more")
			rows, sums := contents(t, url), checksums(t, url)
			want := dirtest.Definitions(t, url)

			report, err := run(t, url, adopt.Options{Apply: true})
			require.NoError(t, err)
			require.True(t, report.Applied)
			assert.Equal(t, sums, checksums(t, url))
			assert.Equal(t, rows, contents(t, url))
			assert.Equal(t, want, mysqltest.Definitions(t, url))

			t.Log(sums, strings.TrimSpace(d.client(t, url, "after")))
			status, err := migrate.ReadStatus(t.Context(), url, migrate.StatusOptions{})
			require.NoError(t, err)
			assert.Empty(t, status.Pending)
			assert.Empty(t, dirtest.Apply(t, url, nil).Applied)
		})
	}
}

// checksums are, for each table, how many rows it has and a digest of them.
func checksums(t testing.TB, url string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, part := range strings.Split(contents(t, url), "-- ")[1:] {
		query, rows, _ := strings.Cut(part, "\n")
		_, from, _ := strings.Cut(query, " FROM ")
		sum := sha256.Sum256([]byte(rows))
		sums[strings.TrimSuffix(from, " ORDER BY id")] = fmt.Sprintf("%d rows, %x", strings.Count(rows, "\n"), sum[:8])
	}
	return sums
}

// What the other tests take for drizzle-kit's statements is what it generates.
func TestTheFixtureIsWhatDrizzleKitGenerates(t *testing.T) {
	t.Parallel()
	drizzletest.LeaveOut(t)
	assert.Equal(t, drizzletest.SeedSQL, newDrizzle(t).generated(t))
}
