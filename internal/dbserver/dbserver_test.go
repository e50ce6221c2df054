package dbserver_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dbserver"
)

func TestOnlyServersThatAreSupportedPass(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ release, comment, refused string }{
		{"9.7.4-2", "(Debian)", ""},
		{"8.0.16", "MySQL Community Server - GPL", ""},
		{"8.0.36-28.1", "Percona Server (GPL), Release 28, Revision 47601f19", ""},
		{"8.0.40-Vitess", "Version: 21.0.0", ""},
		{"10.5.0-MariaDB", "MariaDB Server", ""},
		{"5.5.5-10.11.6-MariaDB-0+deb12u1", "Debian 12", ""},
		{"11.8.9-MariaDB-4 from Debian", "", ""},
		{"10.6.16-11-MariaDB-enterprise-log", "MariaDB Enterprise Server", ""},

		{"8.0.15-log", "Source distribution", "the server is MySQL 8.0.15-log, which is too old"},
		{"5.7.44-log", "MySQL Community Server (GPL)", "the server is MySQL 5.7.44-log, which is too old"},
		{"5.7.mysql_aurora.2.11.2", "MySQL Community Server (GPL)",
			`the server gives "5.7.mysql_aurora.2.11.2" as its version, which is not a number`},
		{"10.4.34-MariaDB", "", "the server is MariaDB 10.4.34-MariaDB, which is too old"},
		{"5.5.5-10.3.39-MariaDB-0ubuntu0.20.04.2", "Ubuntu 20.04", "which is too old"},
		{"8.0.11-TiDB-v7.5.1", "TiDB Server (Apache License 2.0)",
			"the server is TiDB 8.0.11-TiDB-v7.5.1, which answers as MySQL does but is not supported"},
		{"8.4.0-TiDB-v9.0.0", "", "the server is TiDB"},
		{"5.7.25-OceanBase_CE-v4.2.1.0", "OceanBase_CE 4.2.1.0", "the server is OceanBase"},
		{"8.0.33", "Dolt", "the server is Dolt"},
		{"5.7.32", "SingleStoreDB source distribution (compatible; MySQL Enterprise & MySQL Commercial)",
			"the server is SingleStore"},
		{"24.3.1.2672-ClickHouse", "", "the server is ClickHouse"},
		{"8.0.33", "StarRocks version 3.2.1", "the server is StarRocks"},
		{"", "", `the server gives "" as its version`},
	} {
		err := dbserver.Parse(c.release, c.comment).Check()
		if c.refused == "" {
			assert.NoError(t, err, c.release)
			continue
		}
		var refused *dbserver.Error
		require.ErrorAs(t, err, &refused, c.release)
		assert.ErrorContains(t, err, c.refused)
		assert.ErrorContains(t, err, ": MySQL 8.0.16 or MariaDB 10.5 is needed at least")
	}
}
