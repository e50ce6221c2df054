package testserver

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDebianArchiveIsFoundInTheMachinesSources(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		want  source
	}{
		{
			name: "stanzas, as Debian installs them",
			files: map[string]string{"sources.list.d/debian.sources": `Types: deb
# A comment between fields.
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: KEYRING

Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: KEYRING
`},
			want: source{
				uri: "http://mirror.test/debian", suites: []string{"bookworm", "bookworm-updates"},
				components: []string{"main", "contrib"}, enabled: true,
			},
		},
		{
			name: "lines, with and without options",
			files: map[string]string{"sources.list": `# deb http://commented.test/debian bookworm main
deb-src http://source.test/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb http://mirror.test/debian-security bookworm-security main
deb [arch=amd64 signed-by=KEYRING] http://mirror.test/debian bookworm main contrib # the archive
`},
			want: source{
				uri: "http://mirror.test/debian", suites: []string{"bookworm"},
				components: []string{"main", "contrib"}, enabled: true,
			},
		},
		{
			name: "other vendors with the same suite",
			files: map[string]string{
				"sources.list": "deb http://mirror.test/debian bookworm main\n",
				"sources.list.d/a-vendor.list": "deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.test " +
					"bookworm main\n",
				"sources.list.d/b-vendor.list": "deb http://vendor.test bookworm stable\n",
				"sources.list.d/vendor.sources": "Types: deb\nURIs: http://vendor.test\nSuites: " +
					"bookworm\nComponents: main\nSigned-By: /etc/apt/vendor.asc\n",
				"sources.list.d/unused.sources": "Types: deb\nURIs: http://off.test\nSuites: bookworm\nComponents: " +
					"main\nEnabled: no\n",
				"sources.list.d/ignored.disable": "deb http://ignored.test bookworm main\n",
			},
			want: source{
				uri: "http://mirror.test/debian", suites: []string{"bookworm"},
				components: []string{"main"}, enabled: true,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			keyring := write(t, filepath.Join(folder, "debian-archive-keyring.gpg"), "")
			for name, text := range test.files {
				write(t, filepath.Join(folder, name), strings.ReplaceAll(text, "KEYRING", keyring))
			}
			osRelease := write(t, filepath.Join(folder, "os-release"), "ID=debian\nVERSION_CODENAME=bookworm\n")
			got, err := machineArchive(folder, osRelease, keyring)
			require.NoError(t, err)
			assert.Equal(t, keyring, got.keyring)
			got.keyring = ""
			assert.Equal(t, test.want, got)
		})
	}
}

func TestNoDebianArchiveIsAnError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "sources.list"), "deb http://mirror.test/ubuntu noble main\ndeb\ndeb x\n")
	osRelease := write(t, filepath.Join(folder, "os-release"), "VERSION_CODENAME=bookworm\n")
	_, err := machineArchive(folder, osRelease, debianKeyring)
	assert.EqualError(t, err, `apt's sources name no Debian archive for suite "bookworm"`)
}

func TestNeededPackagesLeaveScriptsOut(t *testing.T) {
	t.Parallel()
	simulated := `Reading package lists...
Inst libc6 (2.43-7 Debian:unstable [amd64]) []
Inst perl-base (5.42.3-1 Debian:unstable [amd64])
Inst libperl5.42 (5.42.3-1 Debian:unstable [amd64])
Inst zlib1g [1:1.2] (1:1.3-4 Debian:unstable [amd64])
Inst mysql-server-core (9.7.4-2 Debian:unstable [amd64])
Conf mysql-server-core (9.7.4-2 Debian:unstable [amd64])
`
	assert.Equal(t, map[string]string{
		"libc6": "2.43-7", "zlib1g": "1:1.3-4", "mysql-server-core": "9.7.4-2",
	}, MySQL.archived().neededPackages(simulated))
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		product *Product
		version string
		want    string
	}{
		{MySQL, "9.7.4-2", ""},
		{MySQL, "8.0.36", ""},
		{MySQL, "5.7.44", "needs 8 or later"},
		{MySQL, "10.11.6-MariaDB-0+deb12u1", "is not mysql"},
		{MariaDB, "11.8.9-MariaDB-4 from Debian", ""},
		{MariaDB, "9.7.4", "is not mariadb"},
		{MySQL, "", "needs 8 or later"},
	}
	for _, test := range tests {
		err := test.product.checkVersion(test.version)
		if test.want == "" {
			assert.NoError(t, err, test.version)
		} else {
			assert.ErrorContains(t, err, test.want, test.version)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	config, err := Config("mariadb://root:p%40ss@db.test/shop?tls=skip-verify")
	require.NoError(t, err)
	assert.Equal(t, "root:p@ss@tcp(db.test:3306)/shop?parseTime=true&tls=skip-verify&"+
		"autocommit=1&sql_mode=REPLACE%28%40%40sql_mode%2C+%27ANSI_QUOTES%27%2C+%27%27%29"+
		"&time_zone=%27%2B00%3A00%27", config.FormatDSN())
	_, err = Config("postgres://root:secret@db.test/")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

func TestMainRunsTheCommandWithTheServers(t *testing.T) {
	mysqlURL, mariadbURL := os.Getenv(MySQLVariable), os.Getenv(MariaDBVariable)
	require.NotEmpty(t, mysqlURL, "run make test, or set %s", MySQLVariable)
	print := `echo "$` + MySQLVariable + ` $` + MariaDBVariable + ` $` + WithoutMariaDBVariable + `"; cat; exit 7`

	t.Run("mysql only", func(t *testing.T) {
		var out, errors bytes.Buffer
		code := Main([]string{"-mysql-only", "--", "sh", "-c", print}, strings.NewReader("input"), &out, &errors)
		assert.Equal(t, 7, code, errors.String())
		assert.Equal(t, mysqlURL+"  1\ninput", out.String())
		assert.Contains(t, errors.String(), "mariadb: left out, because of -mysql-only\n")
	})
	t.Run("both", func(t *testing.T) {
		if os.Getenv(WithoutMariaDBVariable) == "1" {
			t.Skip("mariadb left out on request")
		}
		var out, errors bytes.Buffer
		code := Main([]string{"sh", "-c", print}, strings.NewReader(""), &out, &errors)
		assert.Equal(t, 7, code, errors.String())
		assert.Equal(t, mysqlURL+" "+mariadbURL+" \n", out.String())
	})
	t.Run("exit codes", func(t *testing.T) {
		run := func(args ...string) int {
			var discard bytes.Buffer
			return Main(append([]string{"-mysql-only"}, args...), nil, &discard, &discard)
		}
		assert.Equal(t, 0, run("true"))
		assert.Equal(t, 2, run())
		assert.Equal(t, 127, run("/no/such/command"))
		assert.Equal(t, 137, run("sh", "-c", "kill -9 $$"))
	})
}

func TestStartTellsWhyEachWayFailed(t *testing.T) {
	t.Setenv("PATH", "")
	product := *MySQL
	product.variable, product.executable = "AUTHGRAPH_TEST_UNSET_URL", "no-such-server"
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var progress bytes.Buffer
	_, err := Start(context.Background(), &product, &progress)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, "mysql: environment: AUTHGRAPH_TEST_UNSET_URL is not set", lines[0])
	assert.Equal(t, "mysql: no-such-server on PATH: no-such-server was not found", lines[1])
	assert.Contains(t, lines[2], "mysql: docker compose: ")
	assert.Contains(t, lines[3], "mysql: Debian package mysql-server-core: ")
}

func TestStartDoesNotReplaceAGivenURL(t *testing.T) {
	t.Setenv(MySQLVariable, "mysql://root:secret@127.0.0.1:1/")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var progress bytes.Buffer
	_, err := Start(ctx, MySQL, &progress)
	require.ErrorContains(t, err, "127.0.0.1:1 does not answer")
	assert.NotContains(t, err.Error(), "secret")
}

func TestTemporaryFolderReplacesAbandonedOnes(t *testing.T) {
	parent := t.TempDir()
	held, release, err := temporaryFolder(context.Background(), parent, MySQL)
	require.NoError(t, err)
	abandoned := held + "0"
	write(t, filepath.Join(abandoned, "data"), "left behind")

	other, releaseOther, err := temporaryFolder(context.Background(), parent, MySQL)
	require.NoError(t, err)
	assert.NoDirExists(t, abandoned)
	assert.DirExists(t, held)
	assert.DirExists(t, other)
	release()
	releaseOther()
	assert.NoDirExists(t, held)
	assert.NoDirExists(t, other)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAReleaseIsStartedByItsNameWithFlagsOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, product := range []*Product{MySQL, MariaDB} {
		for _, release := range product.Releases() {
			t.Run(product.name+" "+release, func(t *testing.T) {
				t.Parallel()
				server, err := StartOwn(t.Context(), product.Version(release), t.Output(), "--lower_case_table_names=1")
				require.NoError(t, err)
				t.Cleanup(server.Stop)
				assert.True(t, strings.HasPrefix(server.Version, release+"."), server.Version)
				config, err := Config(server.URL)
				require.NoError(t, err)
				connector, err := mysql.NewConnector(config)
				require.NoError(t, err)
				db := sql.OpenDB(connector)
				defer db.Close()
				var lowered int
				require.NoError(t, db.QueryRow("SELECT @@lower_case_table_names").Scan(&lowered))
				assert.Equal(t, 1, lowered)
			})
		}
	}
}

func TestAReleaseThatCannotBeHadSaysWhichCan(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), MariaDB.Version("10.4"), t.Output())
	assert.ErrorContains(t, err, "mariadb 10.4: Debian package mariadb-server-core: "+
		"the archive is not known to hold this release, but 10.5, 10.11, 11.8")
}
